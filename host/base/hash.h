/* 128-bit content hashes (XXH3): cache keys, a model's identity. Not cryptographic. */
#ifndef CLV_BASE_HASH_H
#define CLV_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct clv_hash {
    uint64_t low, high;
} clv_hash;

clv_hash clv_hash_bytes(const void *data, size_t bytes);
/* Depends on the order. */
clv_hash clv_hash_combine(clv_hash a, clv_hash b);
clv_hash clv_hash_string(const char *text);
/* 32 hexadecimal digits and a terminator. */
void clv_hash_format(clv_hash hash, char out_text[33]);
/* The same back; false where it is none. */
bool clv_hash_parse(const char *text, clv_hash *out_hash);

#endif
