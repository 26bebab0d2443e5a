/* Any bytes as an .npy: an error, or an array that reads back the same when it was written. */
#include "host/io/formats.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    clv_value *value = NULL, *again = NULL;
    clv_status *status = clv_npy_read(data, bytes, &value);
    clv_code code = clv_status_code(status);
    clv_status_destroy(status);
    if (code == CLV_INTERNAL || (code == CLV_OK) != (value != NULL)) {
        abort();
    }
    if (value == NULL || value->dtype == CLV_BFLOAT16) { /* which is written as float32 */
        clv_value_destroy(value);
        return 0;
    }
    clv_text text;
    clv_text_init(&text);
    const clv_view view = clv_value_view(value);
    status = clv_npy_write(&view, &text);
    if (status != NULL) {
        abort();
    }
    status = clv_npy_read((const uint8_t *)text.data, text.length, &again);
    if (status != NULL || again->dtype != value->dtype ||
        !clv_shape_equal(&again->shape, &value->shape) ||
        memcmp(again->data, value->data, clv_view_bytes(value->dtype, &value->shape)) != 0) {
        abort();
    }
    clv_text_deinit(&text);
    clv_value_destroy(value);
    clv_value_destroy(again);
    return 0;
}
