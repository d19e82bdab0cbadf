/* ConsumerGroupDescribe: in ZooKeeper mode there is only the classic protocol. The key is listed all the same. */
#include "generated/protocol/consumer_group_describe.h"
#include "broker/protocol/errors.h"
#include "broker/request/handlers.h"

void handle_consumer_group_describe(struct request *request) {
    const struct consumer_group_describe_request *message = request->message;
    struct consumer_group_describe_response response;
    consumer_group_describe_response_init(&response);
    response.groups =
        ARENA_ARRAY(&request->arena, struct consumer_group_describe_response_described_group, message->group_ids_count);
    response.groups_count = message->group_ids_count;
    for (int32_t i = 0; i < message->group_ids_count; i++) {
        struct consumer_group_describe_response_described_group *group = &response.groups[i];
        consumer_group_describe_response_described_group_init(group);
        group->error_code = KAFKA_UNSUPPORTED_VERSION;
        group->group_id = message->group_ids[i];
        group->group_state = group->assignor_name = STR_LITERAL("");
    }
    request_answer(request, &response);
}
