/* What a reader needs of a tensor: taken from where it is made, cut there or here, moved, and put
 * together; each only once for those who can share it. */
#include "host/exec/pieces_build.h"

#include "host/base/memory.h"
#include <string.h>

/* --- what is there already ------------------------------------------------------------------- */

static bool is_same(clv_part a, clv_part b) {
    return a.axis == b.axis && (a.axis < 0 || (a.from == b.from && a.to == b.to));
}

bool clv_pieces_find(
    const clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id tensor, clv_part part,
    clv_tensor_id *out_id) {
    for (uint32_t i = b->first_holding[tensor]; i != CLV_NO_INDEX; i = b->holdings[i].next) {
        const clv_holding *h = &b->holdings[i];
        if (h->memory == reader->memory && is_same(h->part, part) &&
            (h->unit == CLV_NO_INDEX || h->unit == reader->unit)) {
            *out_id = h->id;
            return true;
        }
    }
    return false;
}

/* A piece in the reader's memory that is just what is needed. */
static bool find_piece(
    const clv_piece_builder *b, const clv_piece_reader *reader, const clv_made *made, clv_part part,
    clv_tensor_id *out_id) {
    for (uint32_t i = 0; i < made->count && made->axis >= 0 && made->axis == part.axis; i++) {
        const clv_source *source = &b->sources[made->first + i];
        if (source->memory == reader->memory && source->begin == part.from &&
            source->end == part.to) {
            *out_id = source->id;
            return true;
        }
    }
    return false;
}

static clv_status *keep(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id tensor, clv_part part,
    bool is_shared, clv_tensor_id id) {
    if (!clv_array_reserve(
            (void **)&b->holdings, &b->capacity_holdings, b->num_holdings + 1,
            sizeof *b->holdings)) {
        return clv_pieces_no_memory();
    }
    b->holdings[b->num_holdings] = (clv_holding){
        .part = part,
        .memory = reader->memory,
        .unit = is_shared ? CLV_NO_INDEX : reader->unit,
        .id = id,
        .next = b->first_holding[tensor],
    };
    b->first_holding[tensor] = (uint32_t)b->num_holdings++;
    return NULL;
}

/* --- cutting --------------------------------------------------------------------------------- */

/* Whether a run of positions of an axis is a run of elements. */
static bool is_contiguous(const clv_shape *shape, int axis) {
    return axis < 0 || clv_shape_product(shape, 0, axis) == 1;
}

/* A constant, or a part of it: where it lies, if that is a run of elements; else a copy. */
static clv_status *need_constant(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id tensor, clv_part part,
    clv_tensor_id *out_id) {
    const clv_tensor *t = &b->graph->tensors[tensor];
    clv_view view = {.dtype = t->dtype, .shape = t->shape, .data = t->data};
    if (part.axis >= 0) {
        const size_t inner = (size_t)clv_shape_product(&t->shape, part.axis + 1, t->shape.rank) *
                             clv_dtype_bytes(t->dtype);
        const size_t outer = (size_t)clv_shape_product(&t->shape, 0, part.axis);
        const size_t row = (size_t)t->shape.dims[part.axis] * inner;
        const size_t run = (size_t)(part.to - part.from) * inner;
        const char *from = (const char *)t->data + (size_t)part.from * inner;
        view.shape.dims[part.axis] = part.to - part.from;
        view.data = from;
        if (outer > 1) {
            char *copy =
                clv_arena_alloc(&b->out->memories[reader->memory].graph->arena, outer * run + 1, 1);
            if (copy == NULL) {
                return clv_pieces_no_memory();
            }
            for (size_t i = 0; i < outer; i++) {
                memcpy(copy + i * run, from + i * row, run);
            }
            view.data = copy;
        }
    }
    return clv_pieces_add_tensor(b, reader->memory, t->name, &view, CLV_TENSOR_CONSTANT, out_id);
}

/* The part, -1 where it is all of its axis. */
static clv_part normal(clv_part part, int64_t extent) {
    return part.axis >= 0 && part.from == 0 && part.to == extent ? (clv_part){.axis = -1} : part;
}

/* Cuts a part out of another that holds it. */
static clv_status *slice_of(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id held, int64_t begin,
    clv_part part, clv_tensor_id *out_id) {
    part.from -= begin;
    part.to -= begin;
    return clv_pieces_slice(b, reader, held, part, out_id);
}

clv_runs clv_pieces_runs(const clv_tensor *t, clv_part part) {
    if (part.axis < 0) {
        return (clv_runs){.run_bytes = 0};
    }
    const uint64_t inner = (uint64_t)clv_shape_product(&t->shape, part.axis + 1, t->shape.rank) *
                           clv_dtype_bytes(t->dtype);
    return (clv_runs){
        .first_byte = (uint64_t)part.from * inner,
        .run_bytes = (uint64_t)(part.to - part.from) * inner,
        .pitch_bytes = (uint64_t)t->shape.dims[part.axis] * inner,
    };
}

/* What the caller gives, or as much of it as its memory needs. */
static clv_status *bring_input(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id tensor, clv_part part,
    clv_tensor_id *out_id) {
    const clv_tensor *t = &b->graph->tensors[tensor];
    clv_view like = {.dtype = t->dtype, .shape = t->shape};
    clv_port port = {.runs = clv_pieces_runs(t, part)};
    while (port.index < b->graph->num_inputs && b->graph->inputs[port.index] != tensor) {
        port.index++;
    }
    if (part.axis >= 0) {
        like.shape.dims[part.axis] = part.to - part.from;
    }
    CLV_TRY(clv_pieces_add_tensor(b, reader->memory, t->name, &like, CLV_TENSOR_INPUT, out_id));
    if (b->made[tensor].count == 0 && part.axis < 0) {
        const clv_source source = {
            .memory = reader->memory, .unit = reader->unit, .stage = reader->stage, .id = *out_id};
        b->made[tensor] = (clv_made){.axis = -1, .first = (uint32_t)b->num_sources, .count = 1};
        CLV_TRY(clv_pieces_add_source(b, &source));
    }
    CLV_TRY(keep(b, reader, tensor, part, true, *out_id));
    return clv_pieces_add_input(b, reader->memory, port);
}

static clv_status *need_input(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id tensor, clv_part part,
    clv_tensor_id *out_id) {
    const clv_shape *shape = &b->graph->tensors[tensor].shape;
    clv_part span = {.axis = -1};
    if (part.axis >= 0 && b->out->num_memories > 1 &&
        clv_shape_product(shape, 0, part.axis) <= CLV_MOST_RUNS) {
        span = part;
        clv_pieces_widen(b, tensor, reader->memory, &span);
        span = normal(span, shape->dims[part.axis]);
    }
    if (!clv_pieces_find(b, reader, tensor, span, out_id)) {
        CLV_TRY(bring_input(b, reader, tensor, span, out_id));
    }
    return part.axis < 0 || is_same(part, span)
               ? NULL
               : slice_of(b, reader, *out_id, span.axis >= 0 ? span.from : 0, part, out_id);
}

/* Cuts a part out of what is wholly in the reader's memory. */
static clv_status *need_slice(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id tensor, clv_part part,
    clv_tensor_id *out_id) {
    clv_tensor_id whole;
    CLV_TRY(clv_pieces_need(b, reader, tensor, (clv_part){.axis = -1}, &whole));
    return clv_pieces_slice(b, reader, whole, part, out_id);
}

/* --- joining --------------------------------------------------------------------------------- */

/* What the reader needs of one source, in the reader's memory. `cuts`: up to two axes. */
static clv_status *need_of_source(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_source source, const clv_part *cuts,
    size_t num_cuts, clv_tensor_id *out_id) {
    const bool is_here = source.memory == reader->memory;
    const clv_piece_reader sender = {
        .memory = source.memory,
        .unit = source.unit,
        .stage = source.stage,
        .origin = reader->origin,
    };
    for (size_t i = 0; i < num_cuts; i++) {
        CLV_TRY(clv_pieces_slice(b, is_here ? reader : &sender, source.id, cuts[i], &source.id));
    }
    *out_id = source.id;
    return is_here ? NULL : clv_pieces_move(b, &source, reader, out_id);
}

/* The part of a source on another memory, whose positions [begin, end) of the part's axis it has:
 * it comes with what others on the reader's memory need beside it, once for all of them. */
static clv_status *receive(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id tensor, clv_source source,
    clv_part part, clv_tensor_id *out_id) {
    const int64_t extent = b->graph->tensors[tensor].shape.dims[part.axis];
    const clv_piece_reader sender = {
        .memory = source.memory,
        .unit = source.unit,
        .stage = source.stage,
        .origin = reader->origin,
    };
    clv_part span = part;
    clv_pieces_widen(b, tensor, reader->memory, &span);
    span.from = span.from > source.begin ? span.from : source.begin;
    span.to = span.to < source.end ? span.to : source.end;
    const clv_part known = normal(span, extent);
    if (!clv_pieces_find(b, reader, tensor, known, out_id)) {
        clv_source sent = source;
        if ((span.from != source.begin || span.to != source.end) &&
            !clv_pieces_find(b, &sender, tensor, known, &sent.id)) {
            CLV_TRY(slice_of(b, &sender, source.id, source.begin, span, &sent.id));
            CLV_TRY(keep(b, &sender, tensor, known, true, sent.id));
        }
        CLV_TRY(clv_pieces_move(b, &sent, reader, out_id));
        CLV_TRY(keep(b, reader, tensor, known, true, *out_id));
    }
    return is_same(part, span) ? NULL : slice_of(b, reader, *out_id, span.from, part, out_id);
}

static bool all_here(
    const clv_piece_builder *b, const clv_piece_reader *reader, const clv_made *made) {
    for (uint32_t i = 0; i < made->count; i++) {
        if (b->sources[made->first + i].memory != reader->memory) {
            return false;
        }
    }
    return true;
}

static clv_status *need_whole_source(
    clv_piece_builder *b, const clv_piece_reader *reader, const clv_made *made, clv_part part,
    clv_tensor_id tensor, clv_tensor_id *out_id) {
    clv_source source = b->sources[made->first];
    if (source.memory == reader->memory || part.axis < 0 || made->axis >= 0) {
        return need_of_source(b, reader, source, &part, part.axis >= 0 ? 1 : 0, out_id);
    }
    source.begin = 0;
    source.end = b->graph->tensors[tensor].shape.dims[part.axis];
    return receive(b, reader, tensor, source, part, out_id);
}

static clv_status *need_of_pieces(
    clv_piece_builder *b, const clv_piece_reader *reader, const clv_made *made, clv_part part,
    clv_tensor_id tensor, clv_tensor_id *out_id) {
    const bool is_along = part.axis == made->axis;
    const int64_t last = b->sources[made->first + made->count - 1].end;
    const int64_t low = is_along ? part.from : 0, high = is_along ? part.to : last;
    clv_tensor_id *parts = clv_alloc_zeroed(made->count, sizeof *parts);
    clv_status *status = parts != NULL ? NULL : clv_pieces_no_memory();
    size_t count = 0;
    for (uint32_t i = 0; i < made->count && status == NULL; i++) {
        const clv_source source = b->sources[made->first + i];
        clv_part cuts[2];
        size_t num_cuts = 0;
        const int64_t from = source.begin > low ? source.begin : low;
        const int64_t to = source.end < high ? source.end : high;
        if (from >= to) {
            continue;
        }
        if (source.memory != reader->memory && (is_along || part.axis < 0)) {
            const clv_part there = {.axis = made->axis, .from = from, .to = to};
            status = receive(b, reader, tensor, source, there, &parts[count++]);
            continue;
        }
        if (from != source.begin || to != source.end) {
            cuts[num_cuts++] = (clv_part){
                .axis = made->axis, .from = from - source.begin, .to = to - source.begin};
        }
        if (!is_along && part.axis >= 0) {
            cuts[num_cuts++] = part;
        }
        status = need_of_source(b, reader, source, cuts, num_cuts, &parts[count++]);
    }
    if (status == NULL && count == 0) { /* nothing of it: an empty slice */
        const clv_part cuts[2] = {{.axis = made->axis}, part};
        status = need_of_source(
            b, reader, b->sources[made->first], cuts, is_along || part.axis < 0 ? 1 : 2,
            &parts[count++]);
    }
    *out_id = parts != NULL ? parts[0] : CLV_NO_ID;
    if (status == NULL && count > 1) {
        status = clv_pieces_concat(b, reader, parts, count, made->axis, out_id);
    }
    clv_free(parts);
    return status;
}

clv_status *clv_pieces_need(
    clv_piece_builder *b, const clv_piece_reader *reader, clv_tensor_id tensor, clv_part part,
    clv_tensor_id *out_id) {
    const clv_tensor *t = &b->graph->tensors[tensor];
    const clv_made *made = &b->made[tensor];
    bool is_shared = true;
    part = part.axis >= 0 ? normal(part, t->shape.dims[part.axis]) : part;
    if (clv_pieces_find(b, reader, tensor, part, out_id) ||
        find_piece(b, reader, made, part, out_id)) {
        return NULL;
    }
    if (t->data != NULL) {
        CLV_TRY(need_constant(b, reader, tensor, part, out_id));
    } else if (t->kind == CLV_TENSOR_INPUT) {
        CLV_TRY(need_input(b, reader, tensor, part, out_id));
        is_shared = is_contiguous(&t->shape, part.axis);
    } else if (made->count == 0) {
        return CLV_ERROR(INTERNAL, "'%s' is read before it is made", t->name);
    } else if (made->axis < 0 || made->count == 1) {
        CLV_TRY(need_whole_source(b, reader, made, part, tensor, out_id));
        is_shared =
            b->sources[made->first].memory != reader->memory || is_contiguous(&t->shape, part.axis);
    } else if (
        all_here(b, reader, made) && is_contiguous(&t->shape, made->axis) && part.axis >= 0) {
        CLV_TRY(need_slice(b, reader, tensor, part, out_id));
        is_shared = is_contiguous(&t->shape, part.axis);
    } else {
        CLV_TRY(need_of_pieces(b, reader, made, part, tensor, out_id));
        is_shared = is_contiguous(&t->shape, made->axis) && all_here(b, reader, made);
    }
    return keep(b, reader, tensor, part, is_shared, *out_id);
}
