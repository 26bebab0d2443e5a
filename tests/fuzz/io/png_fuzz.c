/* Any bytes as a picture, wanted in every way: an error, or a tensor that can be written.
 *
 * The checksums of chunks are put right first: else nearly every input would end at the first. */
#include "host/base/memory.h"
#include "host/io/formats.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static uint32_t load_big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void fix_checksums(uint8_t *data, size_t bytes) {
    size_t at = 8;
    while (bytes >= 12 && at <= bytes - 12) {
        size_t length = load_big_endian(data + at);
        if (length > bytes - at - 12) {
            break;
        }
        uint32_t crc = (uint32_t)crc32(0, data + at + 4, (uInt)(length + 4));
        for (int i = 0; i < 4; i++) {
            data[at + 8 + length + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        }
        at += length + 12;
    }
}

static void read_as(const uint8_t *data, size_t bytes, const clv_wanted *wanted, bool scaled) {
    const clv_picture_scale scale = {
        .mean = {0.5, 0.25, 0.125}, .std = {2.0}, .num_mean = 3, .num_std = 1};
    clv_value *value = NULL;
    clv_status *status = clv_png_read(data, bytes, wanted, scaled ? &scale : NULL, &value);
    clv_code code = clv_status_code(status);
    clv_status_destroy(status);
    if (code == CLV_INTERNAL || (code == CLV_OK) != (value != NULL)) {
        abort();
    }
    if (value != NULL) {
        clv_text text;
        clv_text_init(&text);
        const clv_view view = clv_value_view(value);
        status = clv_png_write(&view, NULL, &text);
        if (status != NULL) {
            abort();
        }
        clv_text_deinit(&text);
    }
    clv_value_destroy(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static const clv_wanted ways[] = {
        {.name = "x", .dtype = CLV_FLOAT32, .shape = {.rank = -1}},
        {.name = "x", .dtype = CLV_FLOAT16, .shape = {.rank = 4, .dims = {1, 1, -1, -1}}},
        {.name = "x", .dtype = CLV_UINT8, .shape = {.rank = 4, .dims = {-1, 3, -1, -1}}},
        {.name = "x", .dtype = CLV_UINT8, .shape = {.rank = 4, .dims = {1, 1, 2, 2}}},
    };
    uint8_t *copy = clv_alloc(bytes > 0 ? bytes : 1);
    if (copy == NULL) {
        return 0;
    }
    memcpy(copy, data, bytes);
    fix_checksums(copy, bytes);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        read_as(copy, bytes, &ways[i], i == 0);
    }
    clv_free(copy);
    return 0;
}
