#include "host/exec/debug.h"

#include "host/base/text.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static clv_status *parse_word(const char *word, size_t length, clv_debug *out) {
    const char *seed = "delays=";
    if (length == strlen("fill") && strncmp(word, "fill", length) == 0) {
        out->fills_dead = true;
        return NULL;
    }
    if (length == strlen("delays") && strncmp(word, "delays", length) == 0) {
        out->delays = true;
        return NULL;
    }
    if (length > strlen(seed) && strncmp(word, seed, strlen(seed)) == 0) {
        const char *digits = word + strlen(seed);
        char *end = NULL;
        out->delays = true;
        errno = 0;
        out->delay_seed = strtoull(digits, &end, 10);
        if (*digits >= '0' && *digits <= '9' && end == word + length && errno == 0) {
            return NULL;
        }
    }
    return CLV_ERROR(
        USAGE, "debug '%.*s': needed is fill, delays or delays=SEED, or several with commas",
        length < 100 ? (int)length : 100, word);
}

clv_status *clv_debug_parse(const char *text, clv_debug *out_debug) {
    *out_debug = (clv_debug){.fills_dead = false};
    if (text == NULL || *text == '\0') {
        return NULL;
    }
    for (const char *word = text;; word++) {
        const size_t length = strcspn(word, ",");
        CLV_TRY(parse_word(word, length, out_debug));
        word += length;
        if (*word == '\0') {
            return NULL;
        }
    }
}

/* splitmix64's finish */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

uint64_t clv_debug_delay_ns(const clv_debug *debug, uint64_t request, uint32_t step, uint32_t who) {
    const uint64_t longest_ns = 200000;
    enum { ONE_IN = 4 };
    if (!debug->delays) {
        return 0;
    }
    const uint64_t key =
        mix(debug->delay_seed + 0x9e3779b97f4a7c15U) ^ ((uint64_t)who << 32 | step);
    const uint64_t x = mix(mix(key) + request);
    return x % ONE_IN != 0 ? 0 : (x >> 8) % longest_ns;
}
