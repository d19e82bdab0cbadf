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
    if (error != 0) {
        return; /* a new session or the next change reads again */
    }
    arena_reset(&broker->features_arena, SIZE_MAX);
    request_context->feature_count = 0;
    struct znode_feature feature;
    if (znode_decode_feature(&broker->features_arena, data, &feature) != 0) {
        trace_error(BROKER_AREA, "The znode /feature cannot be read -> no finalized features are told");
        request_context->features_epoch = -1;
        return;
    }
    for (int32_t i = 0; i < feature.feature_count && i < REQUEST_FEATURES_MAX; i++) {
        const struct znode_feature_range *range = &feature.features[i];
        request_context->features[i] = (struct request_feature){
            .name = arena_str(&broker->features_arena, range->name).data,
            .version_min = (int16_t)range->min_version,
            .version_max = (int16_t)range->max_version,
        };
        request_context->feature_count = i + 1;
    }
    request_context->features_epoch = stat->version;
}

void broker_read_features(struct broker *broker) {
    coord_get(broker->seams.coord, ZNODE_FEATURE, (struct coord_watch){on_changed, broker}, on_read, broker);
}
