#include "host/tune/neighbours.h"

#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/tune/rig.h"

/* One is never idle between two requests. */
enum { DEPTH = 2, FIRST_RUNS = 2 };

typedef struct neighbour {
    const clv_neighbours_request *request;
    clv_tune_rig rig;
    clv_replica replica;
    clv_mutable_view *outputs; /* of all requests: the unit works on one at a time */
    pthread_mutex_t lock;
    clv_status *failure; /* guarded by lock */
    atomic_bool stop;
    pthread_t thread;
    bool has_rig, has_replica, has_thread;
} neighbour;

struct clv_neighbours {
    clv_neighbours_request request;
    neighbour *all; /* [request.count] */
};

static clv_status *no_memory(void) {
    return CLV_ERROR(NO_MEMORY, "out of host memory for measuring steps");
}

clv_status *clv_tune_outputs_init(const clv_graph *graph, clv_mutable_view **out_outputs) {
    clv_mutable_view *outputs = clv_alloc_zeroed(graph->num_outputs + 1, sizeof *outputs);
    *out_outputs = outputs;
    if (outputs == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < graph->num_outputs; i++) {
        const clv_tensor *t = &graph->tensors[graph->outputs[i]];
        outputs[i] = (clv_mutable_view){.dtype = t->dtype, .shape = t->shape};
        outputs[i].data = clv_alloc_aligned(64, clv_view_bytes(t->dtype, &t->shape) + 64);
        if (outputs[i].data == NULL) {
            return no_memory();
        }
    }
    return NULL;
}

void clv_tune_outputs_deinit(const clv_graph *graph, clv_mutable_view *outputs) {
    for (size_t i = 0; outputs != NULL && i < graph->num_outputs; i++) {
        clv_free(outputs[i].data);
    }
    clv_free(outputs);
}

/* What values do to operators is nobody's business here. */
static clv_status *finish(
    void *context, uint64_t number, const clv_mutable_view *outputs, const clv_item_span *spans,
    clv_status *status) {
    (void)context;
    (void)number;
    (void)outputs;
    (void)spans;
    return status;
}

static void done(void *context, clv_status *status) {
    neighbour *n = context;
    if (status != NULL) {
        pthread_mutex_lock(&n->lock);
        n->failure = clv_status_join(n->failure, status);
        pthread_mutex_unlock(&n->lock);
        atomic_store(&n->stop, true);
    }
}

static void *work(void *argument) {
    neighbour *n = argument;
    while (!atomic_load(&n->stop)) { /* waits while there is no room */
        clv_executor_submit(n->replica.executor, n->request->inputs, n->outputs, done, n);
    }
    return NULL;
}

static clv_status *start(const clv_neighbours_request *request, size_t index, neighbour *n) {
    n->request = request;
    n->has_rig = true;
    CLV_TRY(clv_tune_rig_init(
        request->graph, request->units[index], NULL, request->db, (clv_tune_cut){0}, &n->rig));
    n->rig.group.depth = n->rig.options.depth = DEPTH;
    n->rig.options.cancel = request->cancel;
    n->rig.options.finish = finish;
    CLV_TRY(clv_replica_init(&n->replica, &n->rig.options));
    n->has_replica = true;
    CLV_TRY(clv_tune_outputs_init(request->graph, &n->outputs));
    for (int i = 0; i < FIRST_RUNS; i++) {
        CLV_TRY(clv_executor_run(n->replica.executor, request->inputs, n->outputs));
    }
    clv_prepared_settle(&n->replica.prepared);
    CLV_TRY(clv_thread_create(&n->thread, work, n, -1, "clv-neighbour"));
    n->has_thread = true;
    return NULL;
}

static clv_status *stop(neighbour *n) {
    atomic_store(&n->stop, true);
    if (n->has_thread) {
        pthread_join(n->thread, NULL);
    }
    if (n->has_replica) { /* which waits for what is in flight */
        clv_replica_deinit(&n->replica);
    }
    if (n->has_rig) {
        clv_tune_rig_deinit(&n->rig);
        clv_tune_outputs_deinit(n->request->graph, n->outputs);
    }
    pthread_mutex_destroy(&n->lock);
    return n->failure;
}

clv_status *clv_neighbours_start(
    const clv_neighbours_request *request, clv_neighbours **out_neighbours) {
    clv_neighbours *neighbours = clv_alloc_zeroed(1, sizeof *neighbours);
    *out_neighbours = NULL;
    if (neighbours == NULL) {
        return no_memory();
    }
    neighbours->request = *request;
    neighbours->all = clv_alloc_zeroed(request->count + 1, sizeof *neighbours->all);
    clv_status *status = neighbours->all != NULL ? NULL : no_memory();
    for (size_t i = 0; i < request->count && neighbours->all != NULL; i++) {
        pthread_mutex_init(&neighbours->all[i].lock, NULL);
    }
    for (size_t i = 0; i < request->count && status == NULL; i++) {
        status = start(&neighbours->request, i, &neighbours->all[i]);
    }
    if (status != NULL) {
        return clv_status_join(status, clv_neighbours_stop(neighbours));
    }
    *out_neighbours = neighbours;
    return NULL;
}

clv_status *clv_neighbours_stop(clv_neighbours *neighbours) {
    clv_status *status = NULL;
    if (neighbours == NULL) {
        return NULL;
    }
    for (size_t i = 0; neighbours->all != NULL && i < neighbours->request.count; i++) {
        atomic_store(&neighbours->all[i].stop, true);
    }
    for (size_t i = 0; neighbours->all != NULL && i < neighbours->request.count; i++) {
        status = clv_status_join(status, stop(&neighbours->all[i]));
    }
    clv_free(neighbours->all);
    clv_free(neighbours);
    return status;
}
