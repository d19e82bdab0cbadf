/* What clients saw, and what must not be in it (reliability.md 2c): lost write, duplicate, inconsistent offsets, order
 * of one producer, poll skip, a poll that goes back. */
#ifndef OTTLA_CHECKER_HISTORY_H
#define OTTLA_CHECKER_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_PARTITIONS_MAX 16
#define HISTORY_PRODUCERS_MAX 8

/* Every record's value: unique in the run. */
struct history_value {
    int32_t producer;
    int32_t partition;
    int64_t number; /* counts from 0 per producer and partition */
};

struct history;
struct cluster;

struct history *history_create(struct cluster *cluster);
void history_destroy(struct history *history);
/* The producer was told that the record is at this offset; -1: that it is there, but not where. */
void history_on_acked(struct history *history, struct history_value value, int64_t offset);
/* A consumer at `position` was given this record. */
void history_on_read(struct history *history, int32_t partition, int64_t position, int64_t offset,
                     struct history_value value);
/* When everything has been read to the end. */
void history_check_end(struct history *history);
int64_t history_acked_count(const struct history *history);
int64_t history_read_count(const struct history *history);
/* Offset an acknowledged record was given; the highest of the partition, -1 none. */
int64_t history_highest_acked(const struct history *history, int32_t partition);

#endif
