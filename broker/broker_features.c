/* The /feature znode as ApiVersions repeats it: read when the broker serves, again at every change and session. The
 * controller writes it; its dataVersion is the epoch of the finalized features (zookeeper-mode.md 1.11). */
#include "broker/base/arena.h"
#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/base/trace.h"
#include "broker/broker_internal.h"
#include "coordinator-client/znode_codec.h"
#include "coordinator-client/znode_path.h"

static void on_changed(void *context, enum coord_watch_type type, const char *path) {
    (void)type;
    (void)path;
    broker_read_features(context);
}

static void on_read(void *context, int error, struct slice data, const struct coord_stat *stat) {
    struct broker *broker = context;
    struct request_context *request_context = &broker->context;
    if (error == ERR_NOT_FOUND) {
        request_context->features_epoch = -1;
        request_context->feature_count = 0;
        return;
    }
    if (broker->phase != BROKER_SERVING) {
        return;
    }
    if (error == ERR_CONNECTION_LOSS) {
        broker_read_features(broker); /* waits for the connection; without it no watch stands, and no change is told */
        return;
    }
    if (error != 0) {
        return; /* a new session reads again */
    }
    arena_reset(&broker->features_arena, SIZE_MAX);
    request_context->feature_count = 0;
    struct znode_feature feature;
    if (znode_decode_feature(&broker->features_arena, data, &feature) != 0) {
        trace_error(BROKER_AREA, "The znode /feature cannot be read -> no finalized features are told");
        request_context->features_epoch = -1;
        return;
    }
    if (feature.status == 0) {
        request_context->features_epoch = -1;
        return; /* versioning is switched off: what stands there does not count */
    }
    if (feature.feature_count > 0) {
        /* As Kafka does; the controller leaves such a broker out (and this version supports no feature at all). */
        broker_fail(broker, "The cluster has finalized the feature %.*s, which this broker does not support",
                    STR_ARGS(feature.features[0].name));
        return;
    }
    request_context->features_epoch = stat->version;
}

void broker_read_features(struct broker *broker) {
    coord_get(broker->seams.coord, ZNODE_FEATURE, (struct coord_watch){on_changed, broker}, on_read, broker);
}
