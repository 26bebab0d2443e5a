#include "host/base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

clv_hash clv_hash_bytes(const void *data, size_t bytes) {
    XXH128_hash_t hash = XXH3_128bits(bytes != 0 ? data : "", bytes);
    return (clv_hash){.low = hash.low64, .high = hash.high64};
}

clv_hash clv_hash_combine(clv_hash a, clv_hash b) {
    uint64_t words[4] = {a.low, a.high, b.low, b.high};
    return clv_hash_bytes(words, sizeof words);
}

clv_hash clv_hash_string(const char *text) {
    return clv_hash_bytes(text, strlen(text));
}

void clv_hash_format(clv_hash hash, char out_text[33]) {
    snprintf(out_text, 33, "%016" PRIx64 "%016" PRIx64, hash.high, hash.low);
}

bool clv_hash_parse(const char *text, clv_hash *out_hash) {
    uint64_t words[2] = {0, 0};
    for (int i = 0; i < 32; i++) {
        const char digit = text[i];
        const bool is_decimal = digit >= '0' && digit <= '9';
        if (!is_decimal && !(digit >= 'a' && digit <= 'f')) {
            return false; /* its end too */
        }
        words[i / 16] =
            words[i / 16] << 4 | (uint64_t)(is_decimal ? digit - '0' : digit - 'a' + 10);
    }
    *out_hash = (clv_hash){.high = words[0], .low = words[1]};
    return text[32] == '\0';
}
