/* Memory that is freed all at once. Blocks never move. Not thread-safe. */
#ifndef CLV_BASE_ARENA_H
#define CLV_BASE_ARENA_H

#include "status.h"
#include <stddef.h>

typedef struct clv_arena_block clv_arena_block;

typedef struct clv_arena {
    clv_arena_block *blocks;
    size_t used_bytes;  /* handed out so far */
    size_t limit_bytes; /* 0: none. A guard where the size comes from untrusted bytes */
} clv_arena;

void clv_arena_init(clv_arena *arena, size_t limit_bytes);
void clv_arena_deinit(clv_arena *arena);

/* Zeroed, aligned to 16; a size of 0 gives a valid pointer. NULL: no memory, or over the limit. */
void *clv_arena_alloc(clv_arena *arena, size_t count, size_t element_bytes);
void *clv_arena_copy(clv_arena *arena, const void *data, size_t bytes);
char *clv_arena_strdup(clv_arena *arena, const char *text);
char *clv_arena_strndup(clv_arena *arena, const char *text, size_t length);
char *clv_arena_printf(clv_arena *arena, const char *format, ...) CLV_PRINTF(2, 3);

/* The status to return where one of the above gave NULL. */
#define CLV_NO_ARENA(what) CLV_ERROR(NO_MEMORY, "out of host memory for %s", what)

#endif
