/* Performs what log_move.h decides, for every partition that is on its way to another directory. */
#ifndef OTTLA_REPLICATION_LOG_MOVE_RUNTIME_H
#define OTTLA_REPLICATION_LOG_MOVE_RUNTIME_H

struct partition_runtime;
struct replica_manager;

void log_move_runtime_start_all(struct replica_manager *manager);

/* A role was commanded: a future log that is there, be it from before a restart, is followed. */
void log_move_runtime_resume(struct partition_runtime *partition);
void log_move_runtime_pause(struct partition_runtime *partition);
/* The log's start moved. */
void log_move_runtime_look(struct partition_runtime *partition);
/* The move is over, the future log stays what and where it is. */
void log_move_runtime_remove(struct partition_runtime *partition);

#endif
