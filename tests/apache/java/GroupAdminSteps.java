import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ConsumerGroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;

/** Groups and their offsets through AdminClient: first while the members of GroupSteps are there, then without them. */
class GroupAdminSteps {
    private static final String GROUP = GroupSteps.GROUP;
    private static final TopicPartition ZERO = new TopicPartition(GroupSteps.TOPIC, 0),
                                        ONE = new TopicPartition(GroupSteps.TOPIC, 1);
    private static final Admin admin = Steps.admin;

    private static String described(String group) throws Exception {
        ConsumerGroupDescription found =
                admin.describeConsumerGroups(
                             List.of(group), new DescribeConsumerGroupsOptions().includeAuthorizedOperations(true))
                        .all()
                        .get()
                        .get(group);
        return found.state() + " " + found.type() + " " + found.partitionAssignor() + " simple "
                + found.isSimpleConsumerGroup() + " coordinator " + (found.coordinator().id() > 0) + " "
                + found.members()
                          .stream()
                          .map(m
                                  -> m.clientId() + " " + m.groupInstanceId().orElse(null) + " " + m.host() + " "
                                          + m.assignment().topicPartitions().size())
                          .sorted()
                          .collect(Collectors.toList())
                + " " + (found.authorizedOperations() == null ? null : Steps.sorted(found.authorizedOperations()));
    }

    private static String offsets(String group) throws Exception {
        return Steps.byName(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()).toString();
    }

    private static String listed(ListConsumerGroupsOptions options) throws Exception {
        return admin.listConsumerGroups(options)
                .all()
                .get()
                .stream()
                .filter(g -> g.groupId().startsWith("j-"))
                .map(g
                        -> g.groupId() + " " + g.state().orElse(null) + " " + g.type().orElse(null) + " simple "
                                + g.isSimpleConsumerGroup())
                .sorted()
                .collect(Collectors.toList())
                .toString();
    }

    static void run() throws Exception {
        withMembers();
        GroupSteps.first.close();
        GroupSteps.second.close();
        Steps.step("remove a static member",
                ()
                        -> Steps.done(()
                                              -> admin.removeMembersFromConsumerGroup(GROUP,
                                                              new RemoveMembersFromConsumerGroupOptions(
                                                                      List.of(new MemberToRemove("i1"))))
                                                         .all()
                                                         .get()));
        Steps.step("remove an unknown member",
                ()
                        -> Steps.done(()
                                              -> admin.removeMembersFromConsumerGroup(GROUP,
                                                              new RemoveMembersFromConsumerGroupOptions(
                                                                      List.of(new MemberToRemove("i9"))))
                                                         .all()
                                                         .get()));
        Steps.step("remove all members",
                ()
                        -> Steps.done(()
                                              -> admin.removeMembersFromConsumerGroup(
                                                              GROUP, new RemoveMembersFromConsumerGroupOptions())
                                                         .all()
                                                         .get()));
        withoutMembers();
    }

    private static void withMembers() {
        Steps.step("describe", () -> described(GROUP));
        Steps.step("describe an unknown group", () -> described("j-nobody"));
        Steps.step("describe a group of offsets only", () -> described("j-alone"));
        Steps.step("list", () -> listed(new ListConsumerGroupsOptions()));
        Steps.step("list stable ones",
                () -> listed(new ListConsumerGroupsOptions().inStates(Set.of(ConsumerGroupState.STABLE))));
        Steps.step(
                "list new ones", () -> listed(new ListConsumerGroupsOptions().withTypes(Set.of(GroupType.CONSUMER))));
        Steps.step("offsets", () -> offsets("j-alone"));
        Steps.step("offsets of several groups",
                ()
                        -> Steps.byName(admin.listConsumerGroupOffsets(
                                                     Map.of("j-alone",
                                                             new ListConsumerGroupOffsetsSpec().topicPartitions(
                                                                     List.of(ZERO, ONE)),
                                                             "j-nobody", new ListConsumerGroupOffsetsSpec()))
                                                .all()
                                                .get())
                                   .entrySet()
                                   .stream()
                                   .map(e -> e.getKey() + " " + Steps.byName(e.getValue()))
                                   .collect(Collectors.toList()));
        Steps.step("alter offsets under members",
                ()
                        -> Steps.done(()
                                              -> admin.alterConsumerGroupOffsets(
                                                              GROUP, Map.of(ZERO, new OffsetAndMetadata(1)))
                                                         .all()
                                                         .get()));
        Steps.step("delete offsets under members",
                () -> Steps.done(() -> admin.deleteConsumerGroupOffsets(GROUP, Set.of(ZERO)).all().get()));
        Steps.step("delete a group with members",
                () -> Steps.done(() -> admin.deleteConsumerGroups(List.of(GROUP)).all().get()));
    }

    private static void withoutMembers() {
        Steps.step("describe it empty", () -> described(GROUP));
        Steps.step("alter offsets",
                ()
                        -> Steps.done(
                                ()
                                        -> admin.alterConsumerGroupOffsets(GROUP,
                                                        Map.of(ZERO, new OffsetAndMetadata(6, Optional.of(0), "set"),
                                                                ONE, new OffsetAndMetadata(8)))
                                                   .all()
                                                   .get()));
        Steps.step("alter offsets of an unknown topic",
                ()
                        -> Steps.done(()
                                              -> admin.alterConsumerGroupOffsets(GROUP,
                                                              Map.of(new TopicPartition("j-nosuch", 0),
                                                                      new OffsetAndMetadata(6)))
                                                         .all()
                                                         .get()));
        Steps.step("alter offsets of a new group",
                ()
                        -> Steps.done(()
                                              -> admin.alterConsumerGroupOffsets(
                                                              "j-made", Map.of(ZERO, new OffsetAndMetadata(2)))
                                                         .all()
                                                         .get()));
        Steps.step("offsets of the new group", () -> offsets("j-made") + " " + described("j-made"));
        Steps.step("delete offsets",
                () -> Steps.done(() -> admin.deleteConsumerGroupOffsets(GROUP, Set.of(ONE)).all().get()));
        Steps.step("delete offsets there are not",
                () -> Steps.done(() -> admin.deleteConsumerGroupOffsets(GROUP, Set.of(ONE)).all().get()));
        Steps.step("offsets after that",
                ()
                        -> offsets(GROUP).contains(ZERO + "=OffsetAndMetadata{offset=6, leaderEpoch=0, metadata='set'}")
                        + " " + offsets(GROUP).contains(ONE + "="));
        Steps.step("delete offsets of an unknown group",
                () -> Steps.done(() -> admin.deleteConsumerGroupOffsets("j-nobody", Set.of(ONE)).all().get()));
        Steps.step("delete groups",
                ()
                        -> Steps.byName(admin.deleteConsumerGroups(List.of(GROUP, "j-alone", "j-nobody"))
                                                .deletedGroups())
                                   .entrySet()
                                   .stream()
                                   .map(e -> e.getKey() + " " + Steps.done(e.getValue()::get))
                                   .collect(Collectors.toList()));
        Steps.step("describe a deleted group", () -> described(GROUP));
        Steps.step("offsets of a deleted group", () -> offsets(GROUP));
        Steps.step("list what is left", () -> listed(new ListConsumerGroupsOptions()));
    }
}
