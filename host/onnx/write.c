/* Writes a TensorProto. */
#include "host/onnx/onnx.h"

#include "host/onnx/scan.h"
#include <string.h>

enum { FIELD_DIMS = 1, FIELD_DATA_TYPE = 2, FIELD_NAME = 8 };
enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

static void add_varint(clv_text *text, uint64_t value) {
    char bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (char)((value & 0x7f) | (value >= 0x80 ? 0x80 : 0));
        value >>= 7;
    } while (value != 0);
    clv_text_add_bytes(text, bytes, count);
}

static void add_number(clv_text *text, uint32_t field, uint64_t value) {
    add_varint(text, (uint64_t)field << 3 | WIRE_VARINT);
    add_varint(text, value);
}

static void add_bytes(clv_text *text, uint32_t field, const void *data, size_t bytes) {
    add_varint(text, (uint64_t)field << 3 | WIRE_BYTES);
    add_varint(text, bytes);
    clv_text_add_bytes(text, data, bytes);
}

void clv_onnx_write_tensor(const clv_view *view, const char *name, clv_text *out_bytes) {
    for (int i = 0; i < view->shape.rank; i++) {
        add_number(out_bytes, FIELD_DIMS, (uint64_t)view->shape.dims[i]);
    }
    add_number(out_bytes, FIELD_DATA_TYPE, (uint64_t)clv_dtype_to_onnx(view->dtype));
    if (name != NULL && name[0] != '\0') {
        add_bytes(out_bytes, FIELD_NAME, name, strlen(name));
    }
    size_t bytes = clv_view_bytes(view->dtype, &view->shape);
    add_bytes(out_bytes, CLV_FIELD_RAW_DATA, bytes > 0 ? view->data : "", bytes);
}
