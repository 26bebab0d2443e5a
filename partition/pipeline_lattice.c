/* Down-closed sets of atoms, and the orders that cuts follow where these are too many. */
#include "host/base/hash.h"
#include "host/base/memory.h"
#include "partition/pipeline.h"

#include <string.h>

#define NO_MEMORY_HERE() CLV_ERROR(NO_MEMORY, "out of host memory for a pipeline's cuts")

void clv_lattice_deinit(clv_lattice *lattice) {
    clv_free(lattice->first_edge);
    clv_free(lattice->edge_atom);
    clv_free(lattice->edge_to);
    clv_free(lattice->least_us);
    *lattice = (clv_lattice){0};
}

clv_status *clv_lattice_from_order(
    const clv_pipe *pipe, const uint32_t *order, clv_lattice *out_lattice) {
    size_t count = pipe->num_atoms;
    *out_lattice = (clv_lattice){
        .num_sets = pipe->num_atoms + 1,
        .first_edge = clv_alloc_zeroed(count + 2, sizeof(uint32_t)),
        .edge_atom = clv_alloc_zeroed(count, sizeof(uint32_t)),
        .edge_to = clv_alloc_zeroed(count, sizeof(uint32_t)),
        .least_us = clv_alloc_zeroed(count + 1, sizeof(double))};
    if (out_lattice->first_edge == NULL || out_lattice->edge_atom == NULL ||
        out_lattice->edge_to == NULL || out_lattice->least_us == NULL) {
        clv_lattice_deinit(out_lattice);
        return NO_MEMORY_HERE();
    }
    for (uint32_t i = 0; i < pipe->num_atoms; i++) {
        out_lattice->first_edge[i + 1] = i + 1;
        out_lattice->edge_atom[i] = order[i];
        out_lattice->edge_to[i] = i + 1;
        out_lattice->least_us[i + 1] = out_lattice->least_us[i] + pipe->least_us[order[i]];
    }
    out_lattice->first_edge[count + 1] = pipe->num_atoms;
    return NULL;
}

/* --- all sets --- */

typedef struct lattice_maker {
    const clv_pipe *pipe;
    clv_lattice *lattice;
    size_t num_words;
    uint64_t *bits; /* [capacity_sets][num_words] */
    size_t capacity_bits, capacity_first, capacity_least, capacity_atoms, capacity_to;
    uint32_t num_edges;
    uint32_t *table; /* hash table of sets, 0: empty, else index + 1 */
    size_t table_size;
    uint64_t *scratch;
    uint32_t limit;
} lattice_maker;

static bool reserve_set(lattice_maker *m) {
    size_t sets = m->lattice->num_sets + (size_t)1;
    return clv_array_reserve(
               (void **)&m->bits, &m->capacity_bits, sets * m->num_words, sizeof *m->bits) &&
           clv_array_reserve(
               (void **)&m->lattice->first_edge, &m->capacity_first, sets + 1, sizeof(uint32_t)) &&
           clv_array_reserve(
               (void **)&m->lattice->least_us, &m->capacity_least, sets, sizeof(double));
}

/* The index of the set in m->scratch, made where it is new; num_sets where memory ran out. */
static uint32_t intern_set(lattice_maker *m, double least_us) {
    clv_lattice *lattice = m->lattice;
    size_t bytes = m->num_words * sizeof *m->bits;
    size_t slot = clv_hash_bytes(m->scratch, bytes).low % m->table_size;
    while (m->table[slot] != 0) {
        if (memcmp(&m->bits[(m->table[slot] - 1) * m->num_words], m->scratch, bytes) == 0) {
            return m->table[slot] - 1;
        }
        slot = (slot + 1) % m->table_size;
    }
    if (!reserve_set(m)) {
        return CLV_NO_INDEX;
    }
    uint32_t index = lattice->num_sets++;
    memcpy(&m->bits[index * m->num_words], m->scratch, bytes);
    lattice->least_us[index] = least_us;
    m->table[slot] = index + 1;
    return index;
}

static bool has_atom(const lattice_maker *m, uint32_t set, uint32_t atom) {
    return (m->bits[set * m->num_words + atom / 64] >> (atom % 64) & 1) != 0;
}

/* Edges of one set: every atom whose predecessors are all in it. */
static bool expand_set(lattice_maker *m, uint32_t set, const uint32_t *missing) {
    const clv_pipe *pipe = m->pipe;
    clv_lattice *lattice = m->lattice;
    lattice->first_edge[set] = m->num_edges;
    for (uint32_t atom = 0; atom < pipe->num_atoms; atom++) {
        if (missing[atom] > 0 || has_atom(m, set, atom)) {
            continue;
        }
        memcpy(m->scratch, &m->bits[set * m->num_words], m->num_words * sizeof *m->bits);
        m->scratch[atom / 64] |= (uint64_t)1 << (atom % 64);
        uint32_t to = intern_set(m, lattice->least_us[set] + pipe->least_us[atom]);
        size_t needed = (size_t)m->num_edges + 1;
        if (to == CLV_NO_INDEX ||
            !clv_array_reserve(
                (void **)&lattice->edge_atom, &m->capacity_atoms, needed, sizeof(uint32_t)) ||
            !clv_array_reserve(
                (void **)&lattice->edge_to, &m->capacity_to, needed, sizeof(uint32_t))) {
            return false;
        }
        lattice->edge_atom[m->num_edges] = atom;
        lattice->edge_to[m->num_edges++] = to;
        if (lattice->num_sets > m->limit) {
            return true;
        }
    }
    return true;
}

/* Predecessors of every atom that are not in the set. */
static void count_missing(const lattice_maker *m, uint32_t set, uint32_t *missing) {
    const clv_pipe *pipe = m->pipe;
    memcpy(missing, pipe->num_before, pipe->num_atoms * sizeof *missing);
    for (uint32_t atom = 0; atom < pipe->num_atoms; atom++) {
        if (has_atom(m, set, atom)) {
            for (uint32_t i = pipe->first_next[atom]; i < pipe->first_next[atom + 1]; i++) {
                missing[pipe->next[i]]--;
            }
        }
    }
}

clv_status *clv_lattice_from_graph(
    const clv_pipe *pipe, uint32_t limit, clv_lattice *out_lattice, bool *out_is_complete) {
    *out_lattice = (clv_lattice){0};
    lattice_maker m = {
        .pipe = pipe,
        .lattice = out_lattice,
        .num_words = ((size_t)pipe->num_atoms + 63) / 64,
        .table_size = (size_t)limit * 2 + 7,
        .limit = limit};
    clv_status *status = NULL;
    uint32_t *missing = clv_alloc_zeroed(pipe->num_atoms, sizeof *missing);
    m.table = clv_alloc_zeroed(m.table_size, sizeof *m.table);
    m.scratch = clv_alloc_zeroed(m.num_words, sizeof *m.scratch);
    bool is_fine = missing != NULL && m.table != NULL && m.scratch != NULL &&
                   intern_set(&m, 0) != CLV_NO_INDEX;
    for (uint32_t set = 0; is_fine && set < out_lattice->num_sets; set++) {
        count_missing(&m, set, missing);
        is_fine = expand_set(&m, set, missing);
        if (out_lattice->num_sets > limit) {
            break;
        }
    }
    *out_is_complete = is_fine && out_lattice->num_sets <= limit;
    if (*out_is_complete) {
        out_lattice->first_edge[out_lattice->num_sets] = m.num_edges;
    } else {
        clv_lattice_deinit(out_lattice);
    }
    if (!is_fine) {
        status = NO_MEMORY_HERE();
    }
    clv_free(missing);
    clv_free(m.table);
    clv_free(m.scratch);
    clv_free(m.bits);
    return status;
}

/* --- orders --- */

typedef struct order_maker {
    const clv_pipe *pipe;
    uint32_t *ready, *left, *missing; /* left: readers of a tensor still to come */
    uint32_t num_ready;
} order_maker;

/* Bytes that become live when the atom runs, less those that die. */
static double live_change(const order_maker *m, uint32_t atom) {
    const clv_pipe *pipe = m->pipe;
    double change = 0;
    for (uint32_t i = pipe->first_in[atom]; i < pipe->first_in[atom + 1]; i++) {
        const clv_pipe_tensor *tensor = &pipe->tensors[pipe->ins[i]];
        change -= m->left[pipe->ins[i]] == 1 ? tensor->bytes : 0;
    }
    for (uint32_t i = pipe->first_out[atom]; i < pipe->first_out[atom + 1]; i++) {
        const clv_pipe_tensor *tensor = &pipe->tensors[pipe->outs[i]];
        change += tensor->num_readers > 0 ? tensor->bytes : 0;
    }
    return change;
}

/* Place in `ready` of the atom to run next. At most 64 candidates are weighed. */
static uint32_t choose_next(const order_maker *m, uint32_t which) {
    if (which == 1) {
        return m->num_ready - 1;
    }
    if (which == 2) {
        return 0;
    }
    uint32_t best = m->num_ready - 1;
    double least = 0;
    for (uint32_t i = 0; i < m->num_ready && i < 64; i++) {
        uint32_t at = m->num_ready - 1 - i;
        double change = live_change(m, m->ready[at]);
        if (i == 0 || change < least) {
            least = change;
            best = at;
        }
    }
    return best;
}

static void run_order(order_maker *m, uint32_t which, uint32_t *out_order) {
    const clv_pipe *pipe = m->pipe;
    uint32_t head = 0;
    for (uint32_t i = pipe->num_atoms; i-- > 0;) {
        uint32_t atom = which == 2 ? pipe->num_atoms - 1 - i : i;
        if (pipe->num_before[atom] == 0) {
            m->ready[m->num_ready++] = atom;
        }
    }
    for (uint32_t n = 0; n < pipe->num_atoms; n++) {
        uint32_t at = which == 2 ? head : choose_next(m, which), atom = m->ready[at];
        out_order[n] = atom;
        if (which == 2) {
            head++;
        } else {
            memmove(&m->ready[at], &m->ready[at + 1], (--m->num_ready - at) * sizeof *m->ready);
        }
        for (uint32_t i = pipe->first_in[atom]; i < pipe->first_in[atom + 1]; i++) {
            m->left[pipe->ins[i]]--;
        }
        for (uint32_t i = pipe->first_next[atom + 1]; i-- > pipe->first_next[atom];) {
            if (--m->missing[pipe->next[i]] == 0) {
                m->ready[m->num_ready++] = pipe->next[i];
            }
        }
    }
}

clv_status *clv_pipe_order(const clv_pipe *pipe, uint32_t which, uint32_t *out_order) {
    for (uint32_t i = 0; which == 0 && i < pipe->num_atoms; i++) {
        out_order[i] = i;
    }
    if (which == 0) {
        return NULL;
    }
    order_maker m = {
        .pipe = pipe,
        .ready = clv_alloc_zeroed(pipe->num_atoms, sizeof *m.ready),
        .left = clv_alloc_zeroed((size_t)pipe->num_tensors + 1, sizeof *m.left),
        .missing = clv_alloc_zeroed(pipe->num_atoms, sizeof *m.missing)};
    clv_status *status = NULL;
    if (m.ready == NULL || m.left == NULL || m.missing == NULL) {
        status = NO_MEMORY_HERE();
    } else {
        memcpy(m.missing, pipe->num_before, pipe->num_atoms * sizeof *m.missing);
        for (uint32_t i = 0; i < pipe->num_tensors; i++) {
            m.left[i] = pipe->tensors[i].num_readers;
        }
        run_order(&m, which, out_order);
    }
    clv_free(m.ready);
    clv_free(m.left);
    clv_free(m.missing);
    return status;
}
