#include "host/onnx/scan.h"

#include "host/base/arena.h"
#include "host/base/memory.h"
#include "onnx/onnx.pb-c.h"
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* A length as a varint of fixed width, to be filled in once the message is written. */
enum { LENGTH_BYTES = 5 };
#define MAX_LENGTH UINT64_C(0x7fffffff)

typedef struct scanner {
    const uint8_t *data;
    size_t limit;
    clv_stripped *out;
} scanner;

/* One field of a message, as found. */
typedef struct field {
    const ProtobufCFieldDescriptor *descriptor; /* NULL: not in the installed onnx.proto */
    uint32_t number, wire;
    size_t begin, value, end; /* of the tag; of the value (of the content, for bytes); past it */
} field;

bool clv_varint_read(const uint8_t *data, size_t end, size_t *position, uint64_t *out_value) {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (*position >= end) {
            return false;
        }
        uint8_t byte = data[(*position)++];
        value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if (byte < 0x80) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

clv_blob clv_blob_read(const ProtobufCBinaryData *entry) {
    clv_blob blob = {0};
    if (entry->len == sizeof blob) {
        memcpy(&blob, entry->data, sizeof blob);
    }
    return blob;
}

static clv_status *emit(scanner *scan, const void *bytes, size_t count) {
    clv_stripped *out = scan->out;
    if (count > scan->limit - out->bytes) {
        return CLV_ERROR(
            UNSUPPORTED, "the model's structure (all but tensor data) takes more than %zu bytes",
            scan->limit);
    }
    if (!clv_array_reserve((void **)&out->data, &out->capacity, out->bytes + count, 1)) {
        return CLV_NO_ARENA("the model's structure");
    }
    if (count > 0) {
        memcpy(out->data + out->bytes, bytes, count);
    }
    out->bytes += count;
    return NULL;
}

static clv_status *emit_varint(scanner *scan, uint64_t value) {
    uint8_t bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (uint8_t)((value & 0x7f) | (value >= 0x80 ? 0x80 : 0));
        value >>= 7;
    } while (value != 0);
    return emit(scan, bytes, count);
}

static void put_length(uint8_t *bytes, size_t length) {
    for (int i = 0; i < LENGTH_BYTES; i++) {
        bytes[i] = (uint8_t)((length & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
        length >>= 7;
    }
}

static const ProtobufCFieldDescriptor *find_field(
    const ProtobufCMessageDescriptor *message, uint32_t number) {
    for (unsigned i = 0; i < message->n_fields; i++) {
        if (message->fields[i].id == number) {
            return &message->fields[i];
        }
    }
    return NULL;
}

static const char *field_name(const field *f) {
    return f->descriptor != NULL ? f->descriptor->name : "an unknown field";
}

/* Reads the tag at *position and finds where its value ends. */
static clv_status *read_field(
    const scanner *scan, const ProtobufCMessageDescriptor *message, size_t position, size_t end,
    field *out) {
    uint64_t tag = 0, value = 0;
    *out = (field){.begin = position};
    if (!clv_varint_read(scan->data, end, &position, &tag) || tag >> 3 == 0 || tag > UINT32_MAX) {
        return CLV_ERROR(
            MALFORMED, "not a valid ONNX file: byte %zu, in %s, is not the start of a field",
            out->begin, message->short_name);
    }
    out->number = (uint32_t)(tag >> 3);
    out->wire = (uint32_t)(tag & 7);
    out->descriptor = find_field(message, out->number);
    bool good = true;
    uint64_t length = out->wire == WIRE_64 ? 8 : out->wire == WIRE_32 ? 4 : 0;
    out->value = position;
    if (out->wire == WIRE_VARINT || out->wire == WIRE_BYTES) {
        good = clv_varint_read(scan->data, end, &position, &value);
    } else if (length == 0) {
        return CLV_ERROR(
            MALFORMED, "not a valid ONNX file: byte %zu, in %s, has wire type %u", out->begin,
            message->short_name, (unsigned)out->wire);
    }
    if (out->wire == WIRE_BYTES) {
        length = value;
        out->value = position;
    }
    if (!good || length > end - position) {
        return CLV_ERROR(
            MALFORMED, "cut off or damaged: %s.%s at byte %zu goes past the end of its %s",
            message->short_name, field_name(out), out->begin, message->short_name);
    }
    out->end = position + (size_t)length;
    return NULL;
}

/* protobuf-c gives up on a whole file where a known field has another wire type, without saying
 * where: so this does. */
static clv_status *check_wire(const ProtobufCMessageDescriptor *message, const field *f) {
    uint32_t wire = WIRE_VARINT;
    switch (f->descriptor->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        wire = WIRE_BYTES;
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        wire = WIRE_32;
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        wire = WIRE_64;
        break;
    default:
        break;
    }
    bool packed = f->wire == WIRE_BYTES && f->descriptor->label == PROTOBUF_C_LABEL_REPEATED;
    if (f->wire != wire && !packed) {
        return CLV_ERROR(
            MALFORMED, "not a valid ONNX file: %s.%s at byte %zu has wire type %u, not %u",
            message->short_name, f->descriptor->name, f->begin, (unsigned)f->wire, (unsigned)wire);
    }
    return NULL;
}

/* Things that cleave never reads and that can be large. */
static bool is_left_out(const ProtobufCMessageDescriptor *message, const field *f) {
    if (f->descriptor == NULL) {
        bool is_node = message == &onnx__node_proto__descriptor;
        bool is_function = message == &onnx__function_proto__descriptor;
        return f->wire != WIRE_BYTES ||
               !((is_node && f->number == CLV_FIELD_NODE_OVERLOAD) ||
                 (is_function && (f->number == CLV_FIELD_FUNCTION_ATTRIBUTE_PROTO ||
                                  f->number == CLV_FIELD_FUNCTION_OVERLOAD)));
    }
    const char *name = f->descriptor->name;
    return strcmp(name, "doc_string") == 0 || strcmp(name, "metadata_props") == 0 ||
           strcmp(name, "training_info") == 0 || strcmp(name, "quantization_annotation") == 0;
}

/* The type of the message that a field holds, NULL for what is no message. */
static const ProtobufCMessageDescriptor *submessage_of(
    const ProtobufCMessageDescriptor *message, const field *f) {
    if (f->descriptor != NULL) {
        return f->descriptor->type == PROTOBUF_C_TYPE_MESSAGE ? f->descriptor->descriptor : NULL;
    }
    bool is_attribute = message == &onnx__function_proto__descriptor &&
                        f->number == CLV_FIELD_FUNCTION_ATTRIBUTE_PROTO;
    return is_attribute ? &onnx__attribute_proto__descriptor : NULL;
}

static bool is_tensor_bytes(const ProtobufCMessageDescriptor *message, uint32_t number) {
    if (message != &onnx__tensor_proto__descriptor) {
        return false;
    }
    switch (number) {
    case CLV_FIELD_FLOAT_DATA:
    case CLV_FIELD_INT32_DATA:
    case CLV_FIELD_STRING_DATA:
    case CLV_FIELD_INT64_DATA:
    case CLV_FIELD_RAW_DATA:
    case CLV_FIELD_DOUBLE_DATA:
    case CLV_FIELD_UINT64_DATA:
        return true;
    default:
        return false;
    }
}

/* Replaces elements by a reference. Neighbours of one field that are not packed become one, so that
 * a file of many small pieces does not grow into a larger copy; *end moves past them. */
static clv_status *scan_tensor_bytes(
    scanner *scan, const field *first, size_t message_end, size_t *end) {
    bool packed = first->wire == WIRE_BYTES;
    clv_blob blob = {
        .field = first->number,
        .packed = packed,
        .offset = packed ? first->value : first->begin,
        .bytes = first->end - (packed ? first->value : first->begin),
    };
    *end = first->end;
    while (!packed && *end < message_end) {
        field next;
        clv_status *status =
            read_field(scan, &onnx__tensor_proto__descriptor, *end, message_end, &next);
        if (status != NULL) {
            return status;
        }
        if (next.number != first->number || next.wire != first->wire) {
            break;
        }
        *end = next.end;
        blob.bytes = *end - blob.offset;
    }
    if (blob.bytes == 0 || blob.field == CLV_FIELD_STRING_DATA) {
        return NULL;
    }
    const uint8_t head[2] = {CLV_FIELD_STRING_DATA << 3 | WIRE_BYTES, sizeof blob};
    CLV_TRY(emit(scan, head, sizeof head));
    return emit(scan, &blob, sizeof blob);
}

static clv_status *scan_message(
    scanner *scan, const ProtobufCMessageDescriptor *message, size_t begin, size_t end, int depth);

static clv_status *scan_submessage(
    scanner *scan, const ProtobufCMessageDescriptor *type, const field *f, int depth) {
    if (depth >= CLV_SCAN_MAX_DEPTH) {
        return CLV_ERROR(
            MALFORMED, "messages are nested more than %d deep at byte %zu", CLV_SCAN_MAX_DEPTH,
            f->begin);
    }
    CLV_TRY(emit_varint(scan, (uint64_t)f->number << 3 | WIRE_BYTES));
    uint8_t placeholder[LENGTH_BYTES] = {0};
    CLV_TRY(emit(scan, placeholder, sizeof placeholder));
    size_t start = scan->out->bytes;
    CLV_TRY(scan_message(scan, type, f->value, f->end, depth + 1));
    put_length(scan->out->data + start - LENGTH_BYTES, scan->out->bytes - start);
    return NULL;
}

/* A field that is copied as it is. */
static clv_status *scan_plain(
    scanner *scan, const ProtobufCMessageDescriptor *message, const field *f) {
    bool is_text = f->descriptor == NULL || f->descriptor->type == PROTOBUF_C_TYPE_STRING;
    if (is_text && f->end > f->value &&
        memchr(scan->data + f->value, 0, f->end - f->value) != NULL) {
        return CLV_ERROR(
            MALFORMED, "%s.%s at byte %zu has a zero byte inside", message->short_name,
            f->descriptor != NULL ? f->descriptor->name : "overload", f->begin);
    }
    return emit(scan, scan->data + f->begin, f->end - f->begin);
}

static clv_status *scan_message(
    scanner *scan, const ProtobufCMessageDescriptor *message, size_t begin, size_t end, int depth) {
    uint64_t seen = 0; /* bit i: message->fields[i], a message that may be there once */
    for (size_t position = begin; position < end;) {
        field f;
        CLV_TRY(read_field(scan, message, position, end, &f));
        position = f.end;
        if (is_left_out(message, &f)) {
            continue;
        }
        if (f.descriptor != NULL) {
            CLV_TRY(check_wire(message, &f));
        }
        const ProtobufCMessageDescriptor *type = submessage_of(message, &f);
        if (is_tensor_bytes(message, f.number)) {
            CLV_TRY(scan_tensor_bytes(scan, &f, end, &position));
        } else if (type == NULL) {
            CLV_TRY(scan_plain(scan, message, &f));
        } else {
            /* protobuf would merge the two; no writer makes such files. */
            if (f.descriptor != NULL && f.descriptor->label != PROTOBUF_C_LABEL_REPEATED) {
                uint64_t bit = UINT64_C(1) << ((f.descriptor - message->fields) & 63);
                if ((seen & bit) != 0) {
                    return CLV_ERROR(
                        MALFORMED, "%s.%s is given twice, at byte %zu", message->short_name,
                        f.descriptor->name, f.begin);
                }
                seen |= bit;
            }
            CLV_TRY(scan_submessage(scan, type, &f, depth));
        }
    }
    return NULL;
}

clv_status *clv_scan(
    const uint8_t *data, size_t bytes, const ProtobufCMessageDescriptor *root, size_t limit,
    clv_stripped *out_stripped) {
    *out_stripped = (clv_stripped){0};
    scanner scan = {
        .data = data,
        .limit = limit < MAX_LENGTH ? limit : MAX_LENGTH,
        .out = out_stripped,
    };
    clv_status *status = scan_message(&scan, root, 0, bytes, 0);
    if (status != NULL) {
        clv_free(out_stripped->data);
        *out_stripped = (clv_stripped){0};
    }
    return status;
}
