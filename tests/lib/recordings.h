/* Recorded frames of Apache Kafka (tests/recordings/wire): request and response as they travelled, without the
 * four bytes of length. */
#ifndef OTTLA_TESTS_RECORDINGS_H
#define OTTLA_TESTS_RECORDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct recorded_frame {
    const char *file; /* "001-Fetch-v12.hex" */
    int index;        /* of the frame in its file, from 0 */
    bool is_request;
    int16_t api_key;
    int16_t api_version;
    int32_t correlation_id;
    uint8_t *bytes;
    size_t size;
};

typedef void recorded_frame_callback(const struct recorded_frame *frame, void *context);

/* Calls back for each frame of each file in `directory`, in the order of their names; returns how many. The frame is
 * valid during the call. A directory or file that cannot be read ends the test program. */
int recordings_each(const char *directory, recorded_frame_callback *callback, void *context);

#endif
