#include "host/ops/op.h"

#include <string.h>

/* A full array has 4, 8, 16, ... splits: the list needs no field for its capacity. */
static bool is_full(size_t count) {
    return count == 0 || (count >= 4 && (count & (count - 1)) == 0);
}

static bool has_name(const clv_split_list *list, const char *name) {
    for (size_t i = 0; i < list->num_splits; i++) {
        if (strcmp(list->splits[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The second and third of one name are "name 2" and "name 3". */
static const char *own_name(const clv_split_list *list, clv_arena *arena, const char *name) {
    const char *own = name;
    for (int i = 2; own != NULL && has_name(list, own); i++) {
        own = clv_arena_printf(arena, "%s %d", name, i);
    }
    return own;
}

clv_status *clv_split_add(
    clv_split_list *list, clv_arena *arena, const clv_call *call, const char *name, clv_join join,
    int axis, int64_t extent, clv_split **out_split) {
    if (is_full(list->num_splits)) {
        size_t capacity = list->num_splits == 0 ? 4 : list->num_splits * 2;
        clv_split *splits = clv_arena_alloc(arena, capacity, sizeof *splits);
        if (splits == NULL) {
            return CLV_NO_ARENA("ways to cut an operator");
        }
        if (list->num_splits != 0) {
            memcpy(splits, list->splits, list->num_splits * sizeof *splits);
        }
        list->splits = splits;
    }
    clv_split_input *inputs = clv_arena_alloc(arena, call->num_inputs, sizeof *inputs);
    name = own_name(list, arena, name);
    if (inputs == NULL || name == NULL) {
        return CLV_NO_ARENA("ways to cut an operator");
    }
    for (size_t i = 0; i < call->num_inputs; i++) {
        inputs[i] = (clv_split_input){.need = CLV_NEED_WHOLE, .num = 1, .den = 1};
    }
    clv_split *split = &list->splits[list->num_splits++];
    *split = (clv_split){
        .name = name,
        .join = join,
        .axis = axis,
        .extent = extent,
        .grain = 1,
        .inputs = inputs,
    };
    *out_split = split;
    return NULL;
}

int64_t clv_split_channel_grain(int64_t channels) {
    enum { BLOCK = 16 };
    return channels >= BLOCK ? BLOCK : 1;
}

int64_t clv_split_group_grain(int64_t channels, int64_t groups) {
    const int64_t grain = clv_split_channel_grain(channels), group = channels / groups;
    return grain % group == 0 ? grain : group;
}
