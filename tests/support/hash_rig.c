#include "tests/support/hash_rig.h"

#include "tests/support/random_plan.h"
#include <stdlib.h>

/* --- units ----------------------------------------------------------------------------------- */

void clv_hash_rig_open(clv_hash_rig *r, size_t lanes, const clv_hash_manner *manner) {
    memset(r, 0, sizeof *r);
    size_t count = lanes == 0 ? 1 : lanes;
    for (size_t i = 0; i < count; i++) {
        const clv_null_options options = {
            .kind = lanes == 0 ? CLV_DEVICE_GPU : CLV_DEVICE_CORE,
            .index = (int)i,
            .find = clv_hash_find,
            .shuffle_seed = manner->shuffle_seed,
            .copy_us = manner->copy_us,
            .ends_early = manner->ends_early,
            .calls_it_done = manner->calls_it_done,
            .refuses_finish = manner->refuses_finish,
        };
        assert_ok(clv_null_device_create(&options, &r->devices[i]));
    }
    r->unit = (clv_exec_unit){.devices = r->devices, .num_devices = count};
    clv_unit_name_init(
        &r->unit.name,
        lanes == 0   ? CLV_UNIT_GPU
        : lanes == 1 ? CLV_UNIT_CORE
                     : CLV_UNIT_CPU,
        0, 0);
}

void clv_hash_rig_close(clv_hash_rig *r) {
    assert_int_equal(clv_null_num_clashes(), 0);
    assert_int_equal(clv_null_num_abandoned(), 0);
    for (size_t i = 0; i < r->unit.num_devices; i++) {
        assert_int_equal(clv_null_num_objects(r->devices[i]), 0);
        r->devices[i]->vtable->destroy(r->devices[i]);
    }
}

const char *const clv_hash_kinds[CLV_HASH_NUM_KINDS] = {
    "q",    "hc",  "chg",  "cq", "qc", "qq",   "cf", "ff", "fcq",  "cs",  "sf", "cpq",
    "gqcf", "qpp", "ccqq", "sc", "ss", "cffg", "pf", "fq", "cccc", "pgs", "gg", "gcg"};

void clv_hash_units_open(clv_hash_units *r, const char *kinds, const clv_hash_manner *manner) {
    r->num_units = (uint32_t)strlen(kinds);
    for (uint32_t i = 0; i < r->num_units; i++) {
        clv_hash_manner own = *manner;
        own.shuffle_seed += manner->shuffle_seed != 0 ? i : 0;
        const bool has_queues = strchr("qps", kinds[i]) != NULL;
        clv_hash_rig_open(&r->rigs[i], has_queues ? 0 : kinds[i] == 'g' ? 2 : 1, &own);
        r->units[i] = r->rigs[i].unit;
        r->units[i].devices = r->rigs[i].devices;
        r->units[i].name.limits.speed = strchr("hp", kinds[i]) != NULL ? 0.5 : 1;
        if (kinds[i] == 'f' || kinds[i] == 's') {
            r->units[i].name.limits.latency_us = 2;
            r->units[i].name.limits.link_per_second = 2e8;
        }
    }
}

void clv_hash_units_close(clv_hash_units *r) {
    for (uint32_t i = 0; i < r->num_units; i++) {
        clv_hash_rig_close(&r->rigs[i]);
    }
}

/* --- graphs and their values ------------------------------------------------------------------ */

static void *bytes_for(const clv_tensor *tensor) {
    void *data = calloc(1, clv_view_bytes(tensor->dtype, &tensor->shape) + 1);
    assert_non_null(data);
    return data;
}

void clv_hash_fixture_init(clv_hash_fixture *f, const clv_hash_graph_options *options) {
    memset(f, 0, sizeof *f);
    assert_ok(clv_hash_graph_create(options, &f->graph));
    for (size_t i = 0; i < f->graph->num_inputs; i++) {
        const clv_tensor *t = &f->graph->tensors[f->graph->inputs[i]];
        unsigned char *data = bytes_for(t);
        for (int64_t j = 0; j < t->shape.dims[0]; j++) {
            data[j] = (unsigned char)((options->seed + i * 31 + (uint64_t)j * 7) % 250);
        }
        f->inputs[i] = (clv_view){.dtype = t->dtype, .shape = t->shape, .data = data};
    }
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        const clv_tensor *t = &f->graph->tensors[f->graph->outputs[i]];
        f->wanted[i] =
            (clv_mutable_view){.dtype = t->dtype, .shape = t->shape, .data = bytes_for(t)};
        f->outputs[i] = f->wanted[i];
        f->outputs[i].data = bytes_for(t);
    }
    assert_ok(clv_hash_graph_evaluate(f->graph, f->inputs, f->wanted));
}

void clv_hash_fixture_deinit(clv_hash_fixture *f) {
    for (size_t i = 0; i < f->graph->num_inputs; i++) {
        free((void *)f->inputs[i].data);
    }
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        free(f->wanted[i].data);
        free(f->outputs[i].data);
    }
    clv_graph_destroy(f->graph);
}

clv_status *clv_hash_run(clv_hash_fixture *f, clv_session *session) {
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        memset(f->outputs[i].data, 0xee, clv_view_bytes(f->outputs[i].dtype, &f->outputs[i].shape));
    }
    return clv_session_run(
        session, f->inputs, f->graph->num_inputs, f->outputs, f->graph->num_outputs);
}

void clv_hash_check(const clv_hash_fixture *f, uint64_t seed, size_t lanes) {
    for (size_t i = 0; i < f->graph->num_outputs; i++) {
        size_t bytes = clv_view_bytes(f->wanted[i].dtype, &f->wanted[i].shape);
        if (memcmp(f->outputs[i].data, f->wanted[i].data, bytes) != 0) {
            fail_msg("seed %d, %zu lanes: output %zu differs", (int)seed, lanes, i);
        }
    }
}

/* --- requests in flight ----------------------------------------------------------------------- */

clv_status *clv_hash_session(
    const clv_hash_fixture *f, const clv_hash_units *r, const clv_hash_session_options *options,
    clv_session **out_session) {
    clv_plan *plan = NULL;
    const uint64_t seed = options->seed;
    const clv_random_plan_options drawn = {
        .seed = seed,
        .num_units = r->num_units,
        .depth = options->depth != 0 ? options->depth : 1 + (uint32_t)(seed % 4),
        .is_pipeline = seed % 3 == 0,
    };
    CLV_TRY(clv_random_plan(f->graph, &drawn, &plan));
    const clv_session_options of_session = {
        .plan = plan,
        .profile = seed % 5 == 0,
        .is_dynamic = options->schedule != 0,
        .chunk_us = options->schedule == 2 ? 1e-9 : 0,
        .cancel = options->cancel,
        .watch = options->watch,
    };
    clv_status *status =
        clv_session_create(f->graph, r->units, r->num_units, &of_session, out_session);
    clv_plan_destroy(plan);
    return status;
}

enum { SOMETHING_ELSE = 0x5a };

static void on_done(void *context, clv_status *status) {
    clv_hash_request *request = context;
    clv_hash_burst *b = request->burst;
    const clv_hash_fixture *f = b->fixture;
    for (size_t i = 0; i < f->graph->num_inputs; i++) {
        const clv_view *v = &request->inputs[i];
        memset((void *)v->data, SOMETHING_ELSE, clv_view_bytes(v->dtype, &v->shape));
    }
    for (size_t i = 0; status != NULL && i < f->graph->num_outputs; i++) {
        const clv_mutable_view *v = &request->outputs[i];
        memset(v->data, SOMETHING_ELSE, clv_view_bytes(v->dtype, &v->shape));
    }
    request->code = clv_status_code(status);
    atomic_fetch_add(&b->num_failed, status != NULL ? 1 : 0);
    if (status != NULL && request->code != CLV_DEVICE_FAILED && request->code != CLV_CANCELLED) {
        print_error("%s\n", clv_status_message(status));
    }
    clv_status_destroy(status);
    clv_signal_add(&b->ended, 1);
}

void clv_hash_burst_init(const clv_hash_fixture *f, clv_hash_burst *b) {
    memset(b, 0, sizeof *b);
    b->fixture = f;
    for (int n = 0; n < CLV_HASH_NUM_REQUESTS; n++) {
        clv_hash_request *request = &b->requests[n];
        request->burst = b;
        for (size_t i = 0; i < f->graph->num_inputs; i++) {
            request->inputs[i] = f->inputs[i];
            request->inputs[i].data = bytes_for(&f->graph->tensors[f->graph->inputs[i]]);
        }
        for (size_t i = 0; i < f->graph->num_outputs; i++) {
            request->outputs[i] = f->outputs[i];
            request->outputs[i].data = bytes_for(&f->graph->tensors[f->graph->outputs[i]]);
        }
    }
}

void clv_hash_burst_deinit(clv_hash_burst *b) {
    for (int n = 0; n < CLV_HASH_NUM_REQUESTS; n++) {
        for (size_t i = 0; i < b->fixture->graph->num_inputs; i++) {
            free((void *)b->requests[n].inputs[i].data);
        }
        for (size_t i = 0; i < b->fixture->graph->num_outputs; i++) {
            free(b->requests[n].outputs[i].data);
        }
    }
}

void clv_hash_burst_submit(clv_session *session, clv_hash_burst *b) {
    const clv_hash_fixture *f = b->fixture;
    atomic_store(&b->ended.value, 0);
    atomic_store(&b->num_failed, 0);
    for (int n = 0; n < CLV_HASH_NUM_REQUESTS; n++) {
        clv_hash_request *request = &b->requests[n];
        for (size_t i = 0; i < f->graph->num_inputs; i++) {
            const clv_view *v = &f->inputs[i];
            memcpy((void *)request->inputs[i].data, v->data, clv_view_bytes(v->dtype, &v->shape));
        }
        assert_ok(clv_session_submit(
            session, request->inputs, f->graph->num_inputs, request->outputs, f->graph->num_outputs,
            on_done, request));
    }
}

void clv_hash_burst_run(clv_session *session, clv_hash_burst *b) {
    clv_hash_burst_submit(session, b);
    clv_signal_wait(&b->ended, CLV_HASH_NUM_REQUESTS, 0);
}

void clv_hash_burst_check(const clv_hash_burst *b, uint64_t seed) {
    const clv_hash_fixture *f = b->fixture;
    for (int n = 0; n < CLV_HASH_NUM_REQUESTS; n++) {
        const clv_hash_request *request = &b->requests[n];
        const clv_code code = request->code;
        assert_true(code == CLV_OK || code == CLV_DEVICE_FAILED || code == CLV_CANCELLED);
        for (size_t i = 0; i < f->graph->num_outputs; i++) {
            const size_t bytes = clv_view_bytes(f->wanted[i].dtype, &f->wanted[i].shape);
            const unsigned char *is = request->outputs[i].data, *wanted = f->wanted[i].data;
            for (size_t j = 0; j < bytes; j++) {
                if (is[j] != (code == CLV_OK ? wanted[j] : SOMETHING_ELSE)) {
                    fail_msg(
                        "seed %d: request %d, which ended with %s: output %zu differs", (int)seed,
                        n, clv_code_name(code), i);
                }
            }
        }
    }
}
