/* Any bytes as a TensorProto: an error, or a tensor that reads back the same when it was written.
 */
#include "host/onnx/onnx.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void write_and_compare(const clv_view *view, const char *name, clv_arena *arena) {
    clv_text text;
    clv_text_init(&text);
    clv_onnx_write_tensor(view, name, &text);
    clv_view again;
    clv_status *status = clv_onnx_read_tensor(text.data, text.length, arena, &again, NULL);
    size_t view_bytes = clv_view_bytes(view->dtype, &view->shape);
    if (status != NULL || again.dtype != view->dtype ||
        !clv_shape_equal(&again.shape, &view->shape) ||
        (view_bytes > 0 && memcmp(again.data, view->data, view_bytes) != 0)) {
        abort();
    }
    clv_text_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    clv_arena arena;
    clv_arena_init(&arena, 0);
    clv_view view;
    const char *name = NULL;
    clv_status *status = clv_onnx_read_tensor(data, bytes, &arena, &view, &name);
    if (clv_status_code(status) == CLV_INTERNAL) {
        abort();
    }
    if (status == NULL) {
        write_and_compare(&view, name, &arena);
    }
    clv_status_destroy(status);
    clv_arena_deinit(&arena);
    return 0;
}
