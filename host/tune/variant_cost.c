#include "host/tune/variant_cost.h"

#include "host/base/arena.h"
#include "host/tune/shipped.h"
#include "host/tune/step_key.h"
#include <math.h>

typedef struct recorder {
    clv_hash hash;
    uint32_t num_scratches, num_constants;
} recorder;

static void add(recorder *r, const void *data, size_t bytes) {
    r->hash = clv_hash_combine(r->hash, clv_hash_bytes(data, bytes));
}

static void add_string(recorder *r, const char *text) {
    r->hash = clv_hash_combine(r->hash, clv_hash_string(text));
}

/* Sources are there as long as the program: each is hashed once by a thread. */
static clv_hash hash_of_source(const clv_kernel_source *source) {
    enum { MOST = 64 };
    static _Thread_local struct {
        const clv_kernel_source *source;
        clv_hash hash;
    } known[MOST];
    size_t i = 0;
    while (i < MOST && known[i].source != NULL && known[i].source != source) {
        i++;
    }
    if (i == MOST) {
        return clv_hash_bytes(source->text, source->bytes);
    }
    if (known[i].source == NULL) {
        known[i].source = source;
        known[i].hash = clv_hash_bytes(source->text, source->bytes);
    }
    return known[i].hash;
}

static clv_status *on_launch(void *context, const clv_launch *launch) {
    recorder *r = context;
    const uint64_t numbers[] = {launch->num_items, launch->local_size, launch->num_args};
    r->hash = clv_hash_combine(r->hash, hash_of_source(launch->source));
    add_string(r, launch->entry);
    add_string(r, launch->options != NULL ? launch->options : "");
    add(r, launch->params, launch->params_bytes);
    add(r, numbers, sizeof numbers);
    for (uint32_t i = 0; i < launch->num_args; i++) {
        const uint32_t arg[] = {(uint32_t)launch->args[i].kind, launch->args[i].index};
        add(r, arg, sizeof arg);
    }
    return NULL;
}

static clv_status *on_scratch(void *context, size_t bytes, uint32_t *out_index) {
    recorder *r = context;
    const uint64_t size = bytes;
    add(r, &size, sizeof size);
    *out_index = r->num_scratches++;
    return NULL;
}

static clv_status *on_constant(void *context, const clv_packing *packing, uint32_t *out_index) {
    recorder *r = context;
    const uint64_t size = packing->bytes;
    add(r, &size, sizeof size);
    *out_index = r->num_constants++;
    return NULL;
}

static void add_views(recorder *r, const clv_view *views, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const int64_t numbers[] = {
            (int64_t)views[i].dtype, views[i].shape.rank, views[i].data != NULL};
        add(r, numbers, sizeof numbers);
        if (views[i].shape.rank > 0) {
            add(r, views[i].shape.dims,
                (size_t)views[i].shape.rank * sizeof views[i].shape.dims[0]);
        }
    }
}

/* The call with its operands as the variant wants them at least. */
static clv_status *lay_out(
    const clv_call *call, const clv_variant *variant, const clv_traits *traits, clv_arena *arena,
    clv_call *out_call) {
    *out_call = *call;
    if (variant->layouts == NULL) {
        return NULL;
    }
    const size_t num_inputs = call->num_inputs, num_outputs = call->num_outputs;
    clv_view *inputs = clv_arena_copy(arena, call->inputs, num_inputs * sizeof *inputs);
    clv_view *outputs = clv_arena_copy(arena, call->outputs, num_outputs * sizeof *outputs);
    clv_layout *in = clv_arena_alloc(arena, num_inputs, sizeof *in);
    clv_layout *out = clv_arena_alloc(arena, num_outputs, sizeof *out);
    if (inputs == NULL || outputs == NULL || in == NULL || out == NULL) {
        return CLV_NO_ARENA("a call");
    }
    variant->layouts(call, traits, in, out);
    for (size_t i = 0; i < num_inputs; i++) {
        inputs[i].layout = in[i];
    }
    for (size_t i = 0; i < num_outputs; i++) {
        outputs[i].layout = out[i];
    }
    out_call->inputs = inputs;
    out_call->outputs = outputs;
    return NULL;
}

clv_status *clv_variant_key(
    clv_hash unit, const clv_call *call, const clv_way *way, const clv_traits *traits,
    clv_hash *out_key) {
    const clv_variant *variant = way->variant;
    int32_t tunables[CLV_MAX_TUNABLES];
    recorder r = {.hash = unit};
    const clv_emitter emitter = {
        .context = &r, .launch = on_launch, .scratch = on_scratch, .constant = on_constant};
    clv_arena arena;
    clv_call laid_out;
    clv_way_tunables(way, tunables);
    clv_arena_init(&arena, 0);
    clv_status *status = lay_out(call, variant, traits, &arena, &laid_out);
    if (status == NULL) {
        add_string(&r, "variant");
        add_string(&r, call->op->kernels->name);
        add_string(&r, variant->name);
        add_views(&r, call->inputs, call->num_inputs);
        add_views(&r, call->outputs, call->num_outputs);
        status = clv_variant_emit(variant, &laid_out, traits, tunables, &emitter);
    }
    clv_arena_deinit(&arena);
    *out_key = r.hash;
    return status;
}

static double find(
    const clv_known_times *times, const clv_call *call, const clv_way *way,
    const clv_traits *traits) {
    const clv_cost_db *db = times->database;
    clv_measured_cost cost = {.time_us = (double)NAN};
    clv_hash key;
    if (db == NULL || clv_cost_db_num_entries(db) == 0) {
        return cost.time_us;
    }
    clv_status *status =
        clv_variant_key(clv_unit_key(times->info, times->num_devices), call, way, traits, &key);
    if (status == NULL) {
        clv_cost_db_find(db, key, &cost);
    }
    clv_status_destroy(status); /* what cannot be asked for is not known */
    return cost.time_us;
}

static double find_shipped(
    const clv_known_times *times, const clv_call *call, const clv_way *way,
    const clv_traits *traits) {
    uint64_t key;
    if (clv_shipped_class(traits) == NULL) {
        return (double)NAN;
    }
    clv_status *status = clv_shipped_key(call, way, traits, &key);
    const double us = status == NULL ? clv_shipped_find(times->shipped, key) : (double)NAN;
    clv_status_destroy(status); /* likewise */
    return us;
}

clv_known_times clv_cost_db_known_times(const clv_cost_db *db) {
    return (clv_known_times){
        .find = find, .find_shipped = find_shipped, .database = db, .shipped = &clv_shipped_costs};
}
