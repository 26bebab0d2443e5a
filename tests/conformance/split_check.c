#include "tests/conformance/split_check.h"

#include <string.h>

/* `view` without what lies outside [begin, end) along `axis`. */
static clv_status *copy_slice(
    clv_arena *arena, const clv_view *view, int axis, int64_t begin, int64_t end,
    clv_view *out_view) {
    *out_view = *view;
    out_view->shape.dims[axis] = end - begin;
    int64_t outer = clv_shape_product(&view->shape, 0, axis);
    size_t inner = (size_t)clv_shape_product(&view->shape, axis + 1, view->shape.rank) *
                   clv_dtype_bytes(view->dtype);
    size_t row = (size_t)view->shape.dims[axis] * inner, piece = (size_t)(end - begin) * inner;
    char *data = clv_arena_alloc(arena, (size_t)outer * piece + 1, 1);
    if (data == NULL) {
        return CLV_NO_ARENA("a slice");
    }
    for (int64_t i = 0; i < outer; i++) {
        const char *from = (const char *)view->data + (size_t)i * row + (size_t)begin * inner;
        memcpy(data + (size_t)i * piece, from, piece);
    }
    out_view->data = data;
    return NULL;
}

static void paste_slice(
    const clv_mutable_view *piece, int axis, int64_t begin, const clv_mutable_view *whole) {
    int64_t outer = clv_shape_product(&whole->shape, 0, axis);
    size_t inner = (size_t)clv_shape_product(&whole->shape, axis + 1, whole->shape.rank) *
                   clv_dtype_bytes(whole->dtype);
    size_t row = (size_t)whole->shape.dims[axis] * inner;
    size_t bytes = (size_t)piece->shape.dims[axis] * inner;
    for (int64_t i = 0; i < outer; i++) {
        memcpy(
            (char *)whole->data + (size_t)i * row + (size_t)begin * inner,
            (const char *)piece->data + (size_t)i * bytes, bytes);
    }
}

static void add_piece(const clv_mutable_view *piece, bool is_first, const clv_mutable_view *whole) {
    for (int64_t i = 0; i < clv_shape_elements(&whole->shape); i++) {
        if (clv_dtype_is_float(whole->dtype)) {
            double sum = is_first ? 0.0 : clv_load_double(whole->dtype, whole->data, i);
            sum += clv_load_double(piece->dtype, piece->data, i);
            clv_store_double(whole->dtype, whole->data, i, sum);
        } else {
            uint64_t sum = is_first ? 0 : (uint64_t)clv_load_int64(whole->dtype, whole->data, i);
            sum += (uint64_t)clv_load_int64(piece->dtype, piece->data, i);
            clv_store_int64(whole->dtype, whole->data, i, (int64_t)sum);
        }
    }
}

static clv_status *run_piece(
    clv_case_data *data, const clv_split *split, const clv_piece_runner *runner, int64_t begin,
    int64_t end, const clv_mutable_view *joined) {
    clv_call piece;
    CLV_TRY(clv_call_cut(&data->call, split, begin, end, &data->arena, &piece));
    clv_view *inputs = (clv_view *)piece.inputs;
    for (size_t i = 0; i < piece.num_inputs; i++) {
        const clv_split_input *need = &split->inputs[i];
        if (need->need == CLV_NEED_SLICE && inputs[i].dtype != CLV_DTYPE_NONE) {
            int64_t from, to;
            clv_split_slice(need, begin, end, data->inputs[i].shape.dims[need->axis], &from, &to);
            CLV_TRY(copy_slice(&data->arena, &data->inputs[i], need->axis, from, to, &inputs[i]));
        }
    }
    clv_mutable_view *outputs = NULL;
    CLV_TRY(clv_case_outputs(&data->arena, &piece, &outputs));
    CLV_TRY(runner->run(runner->context, &piece, outputs));
    for (size_t i = 0; i < piece.num_outputs; i++) {
        if (outputs[i].dtype == CLV_DTYPE_NONE) {
            continue;
        }
        if (split->join == CLV_JOIN_SUM) {
            add_piece(&outputs[i], begin == 0, &joined[i]);
        } else {
            paste_slice(&outputs[i], split->axis, begin, &joined[i]);
        }
    }
    return NULL;
}

/* Positions 0 = out[0] < ... < out[num] = extent, multiples of the grain but for the last. */
static size_t cut_extent(const clv_split *split, clv_random *random, int64_t out_bounds[4]) {
    int64_t grains = (split->extent + split->grain - 1) / split->grain;
    size_t num = 1;
    out_bounds[0] = 0;
    for (int64_t at = 0; num < 3;) {
        at += 1 + (int64_t)clv_random_below(random, (uint64_t)grains);
        if (at >= grains) {
            break;
        }
        out_bounds[num++] = at * split->grain;
    }
    out_bounds[num] = split->extent;
    return num;
}

clv_status *clv_case_check_split(
    clv_case_data *data, const clv_split *split, const clv_piece_runner *runner, clv_random *random,
    const clv_mutable_view *whole) {
    if (split->grain < 1 || split->extent < 1 ||
        (split->join == CLV_JOIN_PLACE) != (split->axis >= 0)) {
        return CLV_ERROR(INTERNAL, "grain, extent or axis is wrong");
    }
    if (split->join == CLV_JOIN_PLACE &&
        (split->axis >= whole->shape.rank || split->extent != whole->shape.dims[split->axis])) {
        return CLV_ERROR(INTERNAL, "the extent is not that of the output's axis");
    }
    clv_mutable_view *joined = NULL;
    CLV_TRY(clv_case_outputs(&data->arena, &data->call, &joined));
    int64_t bounds[4];
    size_t num = cut_extent(split, random, bounds);
    for (size_t i = 0; i < num; i++) {
        CLV_TRY(run_piece(data, split, runner, bounds[i], bounds[i + 1], joined));
    }
    double tolerance = split->join == CLV_JOIN_SUM ? 1e-5 : -1;
    for (size_t i = 0; i < data->call.num_outputs; i++) {
        if (joined[i].dtype != CLV_DTYPE_NONE) {
            CLV_TRY(clv_case_compare("joined pieces", &joined[i], &whole[i], tolerance, tolerance));
        }
    }
    return NULL;
}

static clv_status *run_reference(
    void *context, const clv_call *piece, const clv_mutable_view *outputs) {
    (void)context;
    return clv_call_reference(piece, outputs);
}

static const clv_piece_runner by_reference = {.run = run_reference};

/* Plans name splits. */
static clv_status *check_names(const clv_split_list *list) {
    for (size_t s = 1; s < list->num_splits; s++) {
        for (size_t other = 0; other < s; other++) {
            if (strcmp(list->splits[s].name, list->splits[other].name) == 0) {
                return CLV_ERROR(INTERNAL, "two splits are named '%s'", list->splits[s].name);
            }
        }
    }
    return NULL;
}

clv_status *clv_case_check_splits(
    clv_case_data *data, const clv_mutable_view *whole, clv_random *random, size_t *num_splits) {
    clv_split_list list = {0};
    if (data->call.op->splits == NULL) {
        return NULL;
    }
    CLV_TRY(clv_call_splits(&data->call, &data->arena, &list));
    CLV_TRY(check_names(&list));
    for (size_t s = 0; s < list.num_splits; s++) {
        for (int repeat = 0; repeat < 3; repeat++) {
            clv_status *status =
                clv_case_check_split(data, &list.splits[s], &by_reference, random, whole);
            if (status != NULL) {
                return clv_status_prefix(status, "split '%s' (%zu)", list.splits[s].name, s);
            }
        }
        (*num_splits)++;
    }
    return NULL;
}
