#include "host/exec/constants.h"

#include "host/base/memory.h"
#include "host/base/name_map.h"
#include "host/ir/layout.h"
#include <string.h>

/* What later replicas may find. */
typedef struct shared_constant {
    clv_storage storage;
    clv_piece_node node; /* whose kernels asked for it; of one as it is: nobody's */
    uint32_t next;       /* of the same name; NO_INDEX: none */
} shared_constant;

typedef struct constant_block {
    uint64_t bytes;
    uint32_t memory; /* of the replica that it was placed for */
    clv_buffer *buffer;
} constant_block;

struct clv_constants {
    uint32_t num_owners;
    clv_name_map last_of_name; /* into `shared` */
    shared_constant *shared;
    size_t num_shared, capacity_shared;
    constant_block *blocks;
    size_t num_blocks, capacity_blocks, num_filled;
};

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for a list of weights");
}

/* --- finding --------------------------------------------------------------------------------- */

static bool is_same_node(const clv_piece_node *a, const clv_piece_node *b) {
    return !a->is_join && !b->is_join && a->origin == b->origin && a->split == b->split &&
           a->begin == b->begin && a->end == b->end;
}

static bool are_same_views(const clv_view *a, const clv_view *b, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (a[i].dtype != b[i].dtype || !clv_shape_equal(&a[i].shape, &b[i].shape) ||
            !clv_layout_equal(&a[i].layout, &b[i].layout)) {
            return false;
        }
    }
    return true;
}

/* Of calls of the same piece: params, epilogue and the values of constants then are too. */
static bool is_same_call(const clv_call *a, const clv_call *b) {
    return a->op == b->op && a->num_inputs == b->num_inputs && a->num_outputs == b->num_outputs &&
           are_same_views(a->inputs, b->inputs, a->num_inputs) &&
           are_same_views(a->outputs, b->outputs, a->num_outputs);
}

static bool is_same_packing(const clv_packing *a, const clv_packing *b) {
    return a->bytes == b->bytes && a->fill == b->fill && a->fill_part == b->fill_part &&
           a->num_parts == b->num_parts && memcmp(a->args, b->args, sizeof a->args) == 0;
}

/* Whether both are filled with the same bytes: fill() sees the call and its arguments, no more. */
static bool is_same(
    const shared_constant *shared, const clv_storage *s, const clv_piece_node *node) {
    const clv_storage *other = &shared->storage;
    if (s->piece.bytes != other->piece.bytes || (s->data == NULL) != (other->data == NULL)) {
        return false;
    }
    if (s->data != NULL) { /* parts of a constant may be copies */
        return s->data == other->data || memcmp(s->data, other->data, s->piece.bytes) == 0;
    }
    return is_same_node(&shared->node, node) && is_same_packing(&s->packing, &other->packing) &&
           is_same_call(s->call, other->call);
}

/* NULL: no replica has it yet. */
static const shared_constant *find(
    const clv_constants *c, const clv_storage *s, const clv_piece_node *node) {
    const uint32_t *last = clv_name_map_find(&c->last_of_name, s->piece.name);
    for (uint32_t i = last != NULL ? *last : CLV_NO_INDEX; i != CLV_NO_INDEX;
         i = c->shared[i].next) {
        if (is_same(&c->shared[i], s, node)) {
            return &c->shared[i];
        }
    }
    return NULL;
}

static clv_status *share(clv_constants *c, const clv_storage *s, const clv_piece_node *node) {
    const uint32_t *last = clv_name_map_find(&c->last_of_name, s->piece.name);
    if (!clv_array_reserve(
            (void **)&c->shared, &c->capacity_shared, c->num_shared + 1, sizeof *c->shared)) {
        return no_memory();
    }
    c->shared[c->num_shared] = (shared_constant){
        .storage = *s, .node = *node, .next = last != NULL ? *last : CLV_NO_INDEX};
    return clv_name_map_set(&c->last_of_name, s->piece.name, (uint32_t)c->num_shared++)
               ? NULL
               : no_memory();
}

/* --- placing --------------------------------------------------------------------------------- */

/* The constants of one memory that are new. */
typedef struct placer {
    clv_constants *constants;
    const clv_constants_request *request;
    uint32_t memory;
    uint32_t *reader;         /* [num_storages]: the unit that reads it first */
    uint32_t *storages;       /* [num_storages]: which are new, */
    clv_memory_piece *pieces; /* and what they take */
    size_t count;
} placer;

static const clv_piece_node *node_of(const placer *p, const clv_storage *s) {
    static const clv_piece_node nobody = {.is_join = true};
    return s->node != CLV_NO_INDEX ? &p->request->pieces->memories[p->memory].nodes[s->node]
                                   : &nobody;
}

static void find_readers(const clv_lowered *all, uint32_t *reader) {
    for (size_t i = all->num_steps; i-- > 0;) {
        const clv_step *step = &all->steps[i];
        for (uint32_t k = 0; k < step->num_operands; k++) {
            if (step->operands[k].storage != CLV_NO_STORAGE) {
                reader[step->operands[k].storage] = step->unit;
            }
        }
    }
}

/* Those that others have are placed where these have them. */
static void find_new(placer *p) {
    clv_lowered *all = &p->request->joined->all;
    p->count = 0;
    for (size_t i = 0; i < all->num_storages; i++) {
        clv_storage *s = &all->storages[i];
        if (s->kind != CLV_STORAGE_CONSTANT || s->memory != p->memory || s->piece.bytes == 0) {
            continue;
        }
        const shared_constant *shared =
            p->memory == p->request->host_memory ? find(p->constants, s, node_of(p, s)) : NULL;
        if (shared != NULL) {
            s->piece.block = shared->storage.piece.block;
            s->piece.offset = shared->storage.piece.offset;
        } else {
            p->pieces[p->count] = s->piece;
            p->storages[p->count++] = (uint32_t)i;
        }
    }
}

static clv_status *add_blocks(clv_constants *c, const clv_memory_plan *plan, uint32_t memory) {
    if (!clv_array_reserve(
            (void **)&c->blocks, &c->capacity_blocks, c->num_blocks + plan->num_blocks,
            sizeof *c->blocks)) {
        return no_memory();
    }
    for (size_t i = 0; i < plan->num_blocks; i++) {
        c->blocks[c->num_blocks++] =
            (constant_block){.bytes = plan->block_bytes[i], .memory = memory};
    }
    return NULL;
}

static clv_status *place_new(placer *p) {
    clv_constants *c = p->constants;
    clv_joined *joined = p->request->joined;
    const uint32_t first_block = (uint32_t)c->num_blocks;
    clv_memory_plan plan = {.num_blocks = 0};
    clv_status *status = NULL;
    CLV_TRY_DONE(
        clv_memory_plan_create(p->pieces, p->count, p->request->max_block_bytes[p->memory], &plan));
    CLV_TRY_DONE(add_blocks(c, &plan, p->memory));
    joined->memory_bytes[p->memory] += plan.total_bytes;
    for (size_t i = 0; i < p->count; i++) {
        clv_storage *s = &joined->all.storages[p->storages[i]];
        s->piece.block = first_block + p->pieces[i].block;
        s->piece.offset = p->pieces[i].offset;
        joined->all.unit_bytes[p->reader[p->storages[i]]].constants +=
            clv_memory_align(s->piece.bytes); /* all live at once: nothing lies between them */
        if (p->memory == p->request->host_memory) {
            CLV_TRY_DONE(share(c, s, node_of(p, s)));
        }
    }
done:
    clv_memory_plan_deinit(&plan);
    return status;
}

clv_status *clv_constants_place(clv_constants *constants, const clv_constants_request *request) {
    const clv_lowered *all = &request->joined->all;
    placer p = {
        .constants = constants,
        .request = request,
        .reader = clv_alloc_zeroed(all->num_storages + 1, sizeof *p.reader),
        .storages = clv_alloc_zeroed(all->num_storages + 1, sizeof *p.storages),
        .pieces = clv_alloc_zeroed(all->num_storages + 1, sizeof *p.pieces),
    };
    clv_status *status =
        p.reader != NULL && p.storages != NULL && p.pieces != NULL ? NULL : no_memory();
    if (status == NULL) {
        find_readers(all, p.reader);
    }
    for (; p.memory < request->joined->num_memories && status == NULL; p.memory++) {
        find_new(&p);
        status = place_new(&p);
    }
    clv_free(p.reader);
    clv_free(p.storages);
    clv_free(p.pieces);
    return status;
}

/* --- memory ---------------------------------------------------------------------------------- */

clv_status *clv_constants_allocate(clv_constants *constants, clv_device *const *homes) {
    for (size_t i = constants->num_filled; i < constants->num_blocks; i++) {
        constant_block *block = &constants->blocks[i];
        clv_device *home = homes[block->memory];
        CLV_TRY(home->vtable->buffer_create(home, (size_t)block->bytes, &block->buffer));
    }
    return NULL;
}

clv_buffer *clv_constants_buffer(const clv_constants *constants, uint32_t block) {
    return constants->blocks[block].buffer;
}

bool clv_constants_is_filled(const clv_constants *constants, uint32_t block) {
    return block < constants->num_filled;
}

void clv_constants_set_filled(clv_constants *constants) {
    constants->num_filled = constants->num_blocks;
}

clv_status *clv_constants_create(clv_constants **out_constants) {
    *out_constants = clv_alloc_zeroed(1, sizeof **out_constants);
    if (*out_constants == NULL) {
        return no_memory();
    }
    (*out_constants)->num_owners = 1;
    clv_name_map_init(&(*out_constants)->last_of_name);
    return NULL;
}

void clv_constants_retain(clv_constants *constants) {
    constants->num_owners++;
}

void clv_constants_release(clv_constants *constants) {
    if (constants == NULL || --constants->num_owners != 0) {
        return;
    }
    for (size_t i = 0; i < constants->num_blocks; i++) {
        clv_buffer *buffer = constants->blocks[i].buffer;
        if (buffer != NULL) {
            buffer->device->vtable->buffer_destroy(buffer);
        }
    }
    clv_name_map_deinit(&constants->last_of_name);
    clv_free(constants->shared);
    clv_free(constants->blocks);
    clv_free(constants);
}
