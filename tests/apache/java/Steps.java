import java.util.*;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;

/**
 * What Kafka's own Java clients can do, done once, one line "step: outcome" for each: run against two clusters, the
 * lines must be the same. Ids that are drawn are not shown; what depends on time is shown as a relation.
 *
 * Usage: Steps BOOTSTRAP. Brokers 1, 2 and 3, all alive, 1 the controller.
 */
class Steps {
    static String servers;
    static Admin admin;
    private static String part;

    public static void main(String[] args) throws Exception {
        servers = args[0];
        admin = Admin.create(settings(Map.of()));
        part("admin", AdminSteps::run);
        part("producer", ProducerSteps::run);
        part("consumer", ConsumerSteps::run);
        part("group", GroupSteps::run);
        part("group-admin", GroupAdminSteps::run);
        part("end", AdminSteps::end);
        admin.close();
    }

    interface Body {
        void run() throws Exception;
    }

    private static void part(String name, Body body) throws Exception {
        part = name;
        body.run();
    }

    /** Client settings: the servers, patience, and these. */
    static Properties settings(Map<String, ?> more) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", servers);
        settings.put("client.id", "steps");
        settings.put("request.timeout.ms", "20000");
        settings.put("default.api.timeout.ms", "30000");
        more.forEach((name, value) -> settings.put(name, value.toString()));
        return settings;
    }

    static void say(String step, Object outcome) { System.out.println(part + " " + step + ": " + outcome); }

    /** Says what the call returns, or the name of what it throws. */
    static void step(String step, Callable<?> call) { say(step, outcome(call)); }

    static Object outcome(Callable<?> call) {
        try {
            return call.call();
        } catch (ExecutionException e) {
            return e.getCause().getClass().getSimpleName();
        } catch (Exception e) {
            return e.getClass().getSimpleName();
        }
    }

    /** Says nothing, and is "ok" or the name of what went wrong. */
    static String done(Callable<?> call) {
        Object outcome = outcome(() -> {
            call.call();
            return "ok";
        });
        return outcome.toString();
    }

    static void await(String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (!condition.call()) {
            if (System.nanoTime() > deadline) {
                say("gave up waiting for " + what, "");
                throw new IllegalStateException("gave up waiting for " + what);
            }
            Thread.sleep(20);
        }
    }

    static <T> List<String> sorted(Collection<T> items) {
        return items.stream().map(Object::toString).sorted().collect(Collectors.toList());
    }

    static <K, V> TreeMap<String, V> byName(Map<K, V> map) {
        TreeMap<String, V> sorted = new TreeMap<>();
        map.forEach((key, value) -> sorted.put(key.toString(), value));
        return sorted;
    }
}
