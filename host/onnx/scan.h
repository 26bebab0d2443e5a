/* The walk over untrusted protobuf bytes that comes before protobuf-c.
 *
 * It checks what protobuf-c does not (nesting depth; each wire type against the field's own; a
 * message given twice; zero bytes inside strings), leaves out what cleave never reads
 * (documentation, unknown fields), and replaces tensor bytes by references into the file.
 */
#ifndef CLV_ONNX_SCAN_H
#define CLV_ONNX_SCAN_H

#include "host/base/status.h"
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Messages inside messages: protobuf's own limit. protobuf-c has none and recurses. */
enum { CLV_SCAN_MAX_DEPTH = 100 };

/* Where elements of a TensorProto lie in the file. The stripped copy holds these, and nothing else,
 * as entries of `string_data`, in the order of the file. */
typedef struct clv_blob {
    uint32_t field;  /* number of the TensorProto field: raw_data, float_data, ... */
    uint32_t packed; /* 1: the bytes are the content; 0: pairs of tag and value */
    uint64_t offset, bytes;
} clv_blob;

/* Numbers of TensorProto fields that hold elements. */
enum {
    CLV_FIELD_FLOAT_DATA = 4,
    CLV_FIELD_INT32_DATA = 5,
    CLV_FIELD_STRING_DATA = 6,
    CLV_FIELD_INT64_DATA = 7,
    CLV_FIELD_RAW_DATA = 9,
    CLV_FIELD_DOUBLE_DATA = 10,
    CLV_FIELD_UINT64_DATA = 11,
};

/* Fields that are newer than the installed onnx.proto; they reach us as unknown fields. */
enum {
    CLV_FIELD_NODE_OVERLOAD = 8,
    CLV_FIELD_FUNCTION_ATTRIBUTE_PROTO = 11,
    CLV_FIELD_FUNCTION_OVERLOAD = 13,
};

typedef struct clv_stripped {
    uint8_t *data; /* free with clv_free */
    size_t bytes, capacity;
} clv_stripped;

/* Strips the message of type `root` in data[0 .. bytes). The copy is at most `limit` bytes. */
clv_status *clv_scan(
    const uint8_t *data, size_t bytes, const ProtobufCMessageDescriptor *root, size_t limit,
    clv_stripped *out_stripped) CLV_CHECKED;

/* An entry of string_data in a stripped copy. */
clv_blob clv_blob_read(const ProtobufCBinaryData *entry);

/* Reads a varint at *position, before `end`; false where it is cut off or too long. */
bool clv_varint_read(const uint8_t *data, size_t end, size_t *position, uint64_t *out_value);

#endif
