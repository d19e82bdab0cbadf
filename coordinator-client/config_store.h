/* Dynamic settings in ZooKeeper: /config/<type>/<entity> and the change notifications beside it
 * (zookeeper-mode.md 1.6).
 *
 * An entity is named by its path below /config: "topics/foo", "brokers/1", "brokers/<default>", "users/u/clients/c".
 * A notification carries no values; whoever hears of one reads the entity again. */
#ifndef OTTLA_CONFIG_STORE_H
#define OTTLA_CONFIG_STORE_H

#include <stdint.h>

#include "broker/base/clock.h"
#include "coordinator-client/coord.h"
#include "coordinator-client/znode_codec.h"

/* config is valid during the call; NULL on error. An entity without a node has no entries, which is no error. */
typedef void config_store_read_callback(void *context, int error, const struct znode_config *config);
void config_store_read(struct coord *coord, const char *entity_path, config_store_read_callback *on_done,
                       void *context);

/* The entities of a type ("topics"): names as spelt in the path, valid during the call. */
typedef void config_store_list_callback(void *context, int error, const char *const *entities, int32_t count);
void config_store_list(struct coord *coord, const char *type, config_store_list_callback *on_done, void *context);

/* Replaces the entity's whole map and notifies every broker. The write is fenced by the version of /controller, so that
 * nothing is written after a hand-over to KRaft: ERR_DENIED then; ERR_NOT_FOUND when there is no controller. */
typedef void config_store_write_callback(void *context, int error);
void config_store_write(struct coord *coord, const char *entity_path, const struct znode_config *config,
                        config_store_write_callback *on_done, void *context);

/* Follows /config/changes. */
struct config_changes;
typedef void config_changed_callback(void *context, const char *entity_path);
/* Lists, reports every change found there, and goes on with each new one, in order. Nodes of more than 15 minutes are
 * removed on the way. Must live until the coord is destroyed. */
struct config_changes *config_changes_create(struct clock *clock, struct coord *coord,
                                             config_changed_callback *on_change, void *context);
void config_changes_destroy(struct config_changes *changes);
/* First listing, and again after each new session, whose watches are gone. */
void config_changes_start(struct config_changes *changes);

#endif
