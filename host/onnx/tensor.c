#include "host/onnx/tensor.h"

#include "host/onnx/scan.h"
#include <string.h>

/* Types that ONNX knows and cleave's tensors cannot have, for messages. */
static const char *const other_types[] = {
    [8] = "string",          [14] = "complex64",  [15] = "complex128",     [17] = "float8e4m3fn",
    [18] = "float8e4m3fnuz", [19] = "float8e5m2", [20] = "float8e5m2fnuz", [21] = "uint4",
    [22] = "int4",           [23] = "float4e2m1", [24] = "float8e8m0",     [25] = "uint2",
    [26] = "int2",           [27] = "float6e2m3", [28] = "float6e3m2",
};

clv_status *clv_onnx_dtype(int32_t code, clv_dtype *out_dtype) {
    *out_dtype = clv_dtype_from_onnx(code);
    if (*out_dtype != CLV_DTYPE_NONE) {
        return NULL;
    }
    size_t count = sizeof other_types / sizeof other_types[0];
    if (code > 0 && (size_t)code < count && other_types[code] != NULL) {
        return CLV_ERROR(UNSUPPORTED, "element type %s is not supported", other_types[code]);
    }
    return CLV_ERROR(MALFORMED, "element type %d is not one of ONNX's", (int)code);
}

/* The typed field that ONNX keeps elements of `dtype` in. */
static uint32_t typed_field(clv_dtype dtype) {
    switch (dtype) {
    case CLV_FLOAT32:
        return CLV_FIELD_FLOAT_DATA;
    case CLV_FLOAT64:
        return CLV_FIELD_DOUBLE_DATA;
    case CLV_INT64:
        return CLV_FIELD_INT64_DATA;
    case CLV_UINT32:
    case CLV_UINT64:
        return CLV_FIELD_UINT64_DATA;
    default: /* int32, what is smaller, and the bits of 16-bit floats */
        return CLV_FIELD_INT32_DATA;
    }
}

/* Steps through the elements of blobs that are not used in place. */
typedef struct reader {
    const uint8_t *data;
    const Onnx__TensorProto *tensor;
    size_t blob_index;
    clv_blob blob;
    size_t position; /* within the file */
} reader;

static void reader_init(reader *r, const uint8_t *data, const Onnx__TensorProto *tensor) {
    *r = (reader){.data = data, .tensor = tensor};
}

/* Moves to the next element's value; false at the end. The scan has checked every length. */
static bool reader_next(reader *r) {
    while (r->position >= r->blob.offset + r->blob.bytes) {
        if (r->blob_index >= r->tensor->n_string_data) {
            return false;
        }
        r->blob = clv_blob_read(&r->tensor->string_data[r->blob_index++]);
        r->position = r->blob.offset;
    }
    uint64_t tag = 0;
    return r->blob.packed != 0 ||
           clv_varint_read(r->data, r->blob.offset + r->blob.bytes, &r->position, &tag);
}

/* Reads `width` bytes, or a varint where it is 0; false where the element is cut off. */
static bool reader_value(reader *r, size_t width, uint64_t *out_value) {
    size_t end = r->blob.offset + r->blob.bytes;
    *out_value = 0;
    if (width == 0) {
        return clv_varint_read(r->data, end, &r->position, out_value);
    }
    if (end - r->position < width) {
        return false;
    }
    memcpy(out_value, r->data + r->position, width); /* little-endian, as this machine */
    r->position += width;
    return true;
}

/* How many elements the blobs hold; `out_elements` is not more than the file has bytes. */
static clv_status *count_elements(
    const clv_tensor_source *source, const Onnx__TensorProto *tensor, size_t width,
    size_t *out_elements) {
    reader r;
    reader_init(&r, source->data, tensor);
    *out_elements = 0;
    while (reader_next(&r)) {
        uint64_t value = 0;
        if (!reader_value(&r, width, &value)) {
            return CLV_ERROR(MALFORMED, "its data ends inside element %zu", *out_elements);
        }
        ++*out_elements;
    }
    return NULL;
}

static clv_status *wrong_count(size_t elements, const clv_view *view) {
    char text[CLV_SHAPE_TEXT];
    return CLV_ERROR(
        MALFORMED, "has %zu elements, its shape %s needs %lld", elements,
        clv_shape_format(&view->shape, text), (long long)clv_shape_elements(&view->shape));
}

static clv_status *decode_typed(
    const clv_tensor_source *source, const Onnx__TensorProto *tensor, clv_view *view) {
    size_t element_bytes = clv_dtype_bytes(view->dtype);
    bool fixed = view->dtype == CLV_FLOAT32 || view->dtype == CLV_FLOAT64;
    size_t width = fixed ? element_bytes : 0;
    size_t needed = (size_t)clv_shape_elements(&view->shape);
    if (fixed && tensor->n_string_data == 1) {
        clv_blob blob = clv_blob_read(&tensor->string_data[0]);
        if (blob.packed != 0 && blob.bytes == needed * element_bytes) {
            view->data = source->data + blob.offset;
            return NULL;
        }
    }
    size_t elements = 0;
    CLV_TRY(count_elements(source, tensor, width, &elements));
    if (elements != needed) {
        return wrong_count(elements, view);
    }
    uint8_t *data = clv_arena_alloc(source->arena, needed, element_bytes);
    if (data == NULL) {
        return CLV_NO_ARENA("tensor data");
    }
    reader r;
    reader_init(&r, source->data, tensor);
    for (size_t i = 0; i < needed && reader_next(&r); i++) {
        uint64_t value = 0;
        if (!reader_value(&r, width, &value)) {
            return CLV_ERROR(INTERNAL, "counted %zu elements, cannot read element %zu", needed, i);
        }
        memcpy(data + i * element_bytes, &value, element_bytes); /* the low bytes come first */
    }
    view->data = data;
    return NULL;
}

/* Code and kernels count on 0 and 1. */
static clv_status *normalise_bools(const clv_tensor_source *source, clv_view *view) {
    size_t count = (size_t)clv_shape_elements(&view->shape);
    const uint8_t *bytes = view->data;
    size_t good = 0;
    while (good < count && bytes[good] <= 1) {
        good++;
    }
    if (good == count) {
        return NULL;
    }
    uint8_t *copy = clv_arena_alloc(source->arena, count, 1);
    if (copy == NULL) {
        return CLV_NO_ARENA("tensor data");
    }
    for (size_t i = 0; i < count; i++) {
        copy[i] = bytes[i] != 0;
    }
    view->data = copy;
    return NULL;
}

static clv_status *read_shape(const Onnx__TensorProto *tensor, clv_shape *out_shape) {
    if (tensor->n_dims > CLV_MAX_RANK) {
        return CLV_ERROR(
            UNSUPPORTED, "rank %zu is more than the %d that cleave supports", tensor->n_dims,
            CLV_MAX_RANK);
    }
    out_shape->rank = (int32_t)tensor->n_dims;
    for (size_t i = 0; i < tensor->n_dims; i++) {
        if (tensor->dims[i] < 0) {
            return CLV_ERROR(MALFORMED, "dimension %zu is %lld", i, (long long)tensor->dims[i]);
        }
        out_shape->dims[i] = tensor->dims[i];
    }
    return clv_shape_check(out_shape, "its shape");
}

/* Which of the fields that hold elements are there, as bits by field number. */
static uint32_t fields_present(const Onnx__TensorProto *tensor) {
    uint32_t present = 0;
    for (size_t i = 0; i < tensor->n_string_data; i++) {
        present |= 1u << (clv_blob_read(&tensor->string_data[i]).field & 31);
    }
    return present;
}

static clv_status *read_inside(
    const clv_tensor_source *source, const Onnx__TensorProto *tensor, clv_view *view) {
    uint32_t present = fields_present(tensor), typed = typed_field(view->dtype);
    if (present == 1u << CLV_FIELD_RAW_DATA) {
        clv_blob blob = clv_blob_read(&tensor->string_data[tensor->n_string_data - 1]);
        size_t needed = clv_view_bytes(view->dtype, &view->shape);
        if (blob.packed == 0 || blob.bytes != needed) {
            char text[CLV_SHAPE_TEXT];
            return CLV_ERROR(
                MALFORMED, "has %llu bytes, %s %s needs %zu", (unsigned long long)blob.bytes,
                clv_dtype_name(view->dtype), clv_shape_format(&view->shape, text), needed);
        }
        view->data = source->data + blob.offset;
        return NULL;
    }
    if ((present & ~(1u << typed)) != 0) {
        return CLV_ERROR(
            MALFORMED, "%s elements are kept in a field of another type, or in several",
            clv_dtype_name(view->dtype));
    }
    return decode_typed(source, tensor, view);
}

clv_status *clv_onnx_tensor_view(
    const clv_tensor_source *source, const Onnx__TensorProto *tensor, clv_view *out_view) {
    *out_view = (clv_view){0};
    CLV_TRY(clv_onnx_dtype(tensor->data_type, &out_view->dtype));
    CLV_TRY(read_shape(tensor, &out_view->shape));
    if (tensor->segment != NULL) {
        return CLV_ERROR(UNSUPPORTED, "tensors in segments are not supported");
    }
    bool is_external = tensor->has_data_location &&
                       tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    if (is_external) {
        if (source->external == NULL) {
            return CLV_ERROR(UNSUPPORTED, "external data needs a model file to lie beside");
        }
        size_t needed = clv_view_bytes(out_view->dtype, &out_view->shape);
        CLV_TRY(clv_externals_find(
            source->external, tensor->external_data, tensor->n_external_data, needed,
            &out_view->data));
    } else {
        CLV_TRY(read_inside(source, tensor, out_view));
    }
    return out_view->dtype == CLV_BOOL ? normalise_bools(source, out_view) : NULL;
}
