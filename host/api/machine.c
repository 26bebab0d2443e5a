#include "host/api/machine.h"
#include "host/api/internal.h"
#include "host/api/probe.h"
#include "host/base/cancel.h"
#include "host/base/file.h"

#include "host/base/memory.h"
#include "host/base/threads.h"
#include "host/machine/builder.h"
#include "host/tune/step_key.h"

#include <math.h>
#include <string.h>

/* Estimates for devices that do not tell: multiply-adds a cycle of a GPU's compute unit, its memory
 * and its way to the host (PCIe 4.0 with 16 lanes, of which some 80% arrive). */
static const double gpu_flops_per_cycle = 256, gpu_bandwidth = 500e9, pcie_bandwidth = 25e9;
static const double pcie_latency_us = 10, gpu_launch_us = 5;
/* Into and out of a buffer of a driver that computes on the host's processors: a copy, and what
 * events between queues take (PoCL's threads; Intel's are quicker). */
static const double copy_bandwidth = 10e9, copy_latency_us = 30;
/* Units that hide less of a transfer behind a kernel are counted as busy with it; but waiting for a
 * link that is declared slower than so much of what it is keeps nobody busy. */
static const double least_hidden = 0.5;
/* A step on a core, beside PoCL's launch: tests/bench/step_bench. */
static const double core_launch_us = 0.5, gang_launch_us = 1.5;

/* What one core reads from memory, in bytes a second; 0: unknown. */
static double core_bandwidth(void) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static double measured; /* guarded by lock */
    pthread_mutex_lock(&lock);
    if (measured == 0) {
        measured = clv_probe_bandwidth(1);
    }
    double result = measured;
    pthread_mutex_unlock(&lock);
    return result;
}

const clv_device_info *clv_unit_info(
    const clv_unit_table *table, const clv_unit_name *name, uint32_t *out_count) {
    const clv_device_info *found = NULL;
    *out_count = 0;
    for (size_t i = 0; i < table->num_infos; i++) {
        if (clv_unit_has_device(name, table->infos[i])) {
            found = found != NULL ? found : table->infos[i];
            ++*out_count;
        }
    }
    return found;
}

clv_unit_speed clv_unit_speed_of(const clv_unit_table *table, const clv_unit_name *name) {
    uint32_t count;
    const clv_device_info *info = clv_unit_info(table, name, &count);
    if (info == NULL) {
        return (clv_unit_speed){0};
    }
    bool is_gang = name->kind == CLV_UNIT_CPU, is_core = name->kind == CLV_UNIT_CORE;
    clv_unit_speed speed = {.num_cores = is_gang ? count : info->compute_units};
    if (info->is_cpu) {
        /* two fused multiply-adds a cycle on every lane of the widest vectors: an upper bound for
         * today's CPUs */
        speed.peak_flops =
            info->clock_ghz * 1e9 * (double)info->simd_bytes / 4 * 2 * 2 * speed.num_cores;
    }
    if ((is_gang || is_core) && info->usable) {
        speed.bandwidth = core_bandwidth() * speed.num_cores;
        speed.is_measured = speed.bandwidth > 0;
    }
    return speed;
}

/* --- the machine --- */

typedef struct machine_maker {
    clv_machine_builder builder;
    clv_ocl *ocl;
    const clv_unit_table *table;
    uint32_t host; /* the memory, and the processors */
    uint32_t processors;
    bool probes; /* measures memory with all cores at it, and links */
    clv_cost_db *db;
    clv_traits *traits;
} machine_maker;

/* --- what probes found --- */

/* The entry that stands for something of `count` devices. */
static clv_hash probe_key(const clv_device_info *info, size_t count, const char *what) {
    return clv_hash_combine(clv_unit_key(info, count), clv_hash_string(what));
}

static bool find_us(const machine_maker *m, clv_hash key, double *out_us) {
    clv_measured_cost cost;
    if (m->db == NULL || !clv_cost_db_find(m->db, key, &cost)) {
        return false;
    }
    *out_us = cost.time_us;
    return true;
}

static clv_status *keep_us(const machine_maker *m, clv_hash key, double us) {
    const clv_measured_cost cost = {.time_us = us, .count = 1};
    return m->db != NULL ? clv_cost_db_put(m->db, key, &cost) : NULL;
}

/* What all cores read at once, in bytes a second; 0: it could not be measured. Cores that are near
 * each other get less than ones that are far apart: `exchange` tells which. */
static clv_status *probe_memory(
    const machine_maker *m, const clv_device_info *core, uint32_t num_cores, double exchange,
    double *out_rate) {
    const clv_hash key = clv_hash_combine(
        probe_key(core, num_cores, "reading a gigabyte of host memory"),
        clv_hash_bytes(&exchange, sizeof exchange));
    double us;
    if (find_us(m, key, &us)) {
        *out_rate = 1e15 / us;
        return NULL;
    }
    *out_rate = clv_probe_bandwidth(num_cores);
    return *out_rate > 0 ? keep_us(m, key, 1e15 / *out_rate) : NULL;
}

static double measure_exchange(void *argument) {
    (void)argument;
    return clv_probe_exchange();
}

/* What cores get of each other, in bytes a second. It is another one after processors of a virtual
 * machine were moved, so it is looked at each time, which takes some hundred microseconds; what was
 * known stays unless that is clear, and plans stay the same with it. */
static clv_status *probe_exchange(
    const machine_maker *m, const clv_device_info *core, double *out_rate) {
    const clv_hash key = probe_key(core, 2, "getting a gigabyte of another core");
    double us, known = 0;
    if (find_us(m, key, &us)) {
        known = 1e15 / us; /* 0 us: no limit */
    }
    bool is_known;
    const double rate = clv_probe_settle(known, measure_exchange, NULL, &is_known);
    *out_rate = rate > 0 ? rate : (double)INFINITY;
    return is_known && rate != known ? keep_us(m, key, 1e15 / rate) : NULL;
}

static clv_status *probe_link(const machine_maker *m, const clv_device_info *info, clv_link *link) {
    const clv_hash latency_key = probe_key(info, 1, "a transfer");
    const clv_hash key = probe_key(info, 1, "moving a gigabyte");
    double us;
    size_t device = 0;
    if (find_us(m, latency_key, &link->latency_us) && find_us(m, key, &us)) {
        link->bandwidth = us > 0 ? 1e15 / us : (double)INFINITY;
        return NULL;
    }
    while (m->table->infos[device] != info) {
        device++;
    }
    CLV_TRY(clv_cancel_check());
    CLV_TRY(clv_probe_link(m->ocl, device, &link->latency_us, &link->bandwidth));
    CLV_TRY(keep_us(m, latency_key, link->latency_us));
    return keep_us(m, key, 1e15 / link->bandwidth);
}

/* --- units --- */

/* Capacity and bandwidth of host memory: what is installed, and what all cores draw at once. */
static clv_status *add_host(machine_maker *m) {
    clv_memory host = clv_memory_default("host");
    if (clv_memory_installed() > 0) {
        host.capacity_bytes = clv_memory_installed();
    }
    uint32_t num_cores = 0;
    const clv_device_info *core = NULL;
    double measured = 0;
    for (size_t i = 0; i < m->table->num_infos; i++) {
        if (m->table->infos[i]->kind == CLV_DEVICE_CORE && m->table->infos[i]->usable) {
            core = m->table->infos[i];
            num_cores++;
        }
    }
    if (m->probes && num_cores > 1) {
        CLV_TRY(probe_exchange(m, core, &host.exchange));
        CLV_TRY(probe_memory(m, core, num_cores, host.exchange, &measured));
    }
    if (measured > 0) {
        host.bandwidth = measured;
    } else if (num_cores > 0 && core_bandwidth() > 0) {
        host.bandwidth = core_bandwidth() * num_cores;
    }
    CLV_TRY(clv_machine_add_memory(&m->builder, &host, &m->host));
    m->builder.machine->home = m->host; /* where callers have them */
    return NULL;
}

/* Whether a unit computes while transfers over its link are under way. */
static clv_status *probe_overlap(
    const machine_maker *m, const clv_device_info *info, bool *out_overlaps) {
    const clv_hash key = probe_key(info, 1, "a transfer beside a kernel");
    double hidden, shown;
    size_t device = 0;
    if (find_us(m, key, &shown)) {
        *out_overlaps = 1 - shown >= least_hidden;
        return NULL;
    }
    while (m->table->infos[device] != info) {
        device++;
    }
    CLV_TRY(clv_cancel_check());
    CLV_TRY(clv_probe_hidden(m->ocl, device, &hidden));
    *out_overlaps = hidden >= least_hidden;
    return keep_us(m, key, 1 - hidden);
}

/* A memory of the unit's own (into `unit`), and the link to the host's: what goes to and from a
 * device with queues is copied, wherever its buffers are. */
static clv_status *add_own_memory(
    machine_maker *m, const clv_unit_name *name, const clv_device_info *info, clv_unit *unit) {
    const bool is_apart = info->kind != CLV_DEVICE_CORE;
    clv_memory memory = clv_memory_default(name->text);
    if (is_apart) {
        memory.capacity_bytes = info->memory_bytes;
    }
    if (is_apart && info->is_cpu) {
        memory.bandwidth = m->builder.machine->memories[m->host].bandwidth;
    }
    CLV_TRY(clv_machine_add_memory(&m->builder, &memory, &unit->memory));
    const char *label = clv_arena_printf(&m->builder.machine->arena, "%s-host", name->text);
    if (label == NULL) {
        return CLV_NO_ARENA("a link's name");
    }
    clv_link link = clv_link_default(label, unit->memory, m->host);
    if (is_apart) {
        link.bandwidth = info->is_cpu ? copy_bandwidth : pcie_bandwidth;
        link.latency_us = info->is_cpu ? copy_latency_us : pcie_latency_us;
    }
    if (is_apart && m->probes) {
        CLV_TRY(probe_link(m, info, &link));
        CLV_TRY(probe_overlap(m, info, &unit->overlaps));
        unit->overlaps =
            unit->overlaps || name->limits.link_per_second < link.bandwidth * (1 - least_hidden);
    }
    link.bandwidth = fmin(link.bandwidth, name->limits.link_per_second);
    link.latency_us = fmax(link.latency_us, name->limits.latency_us);
    return clv_machine_add_link(&m->builder, &link);
}

/* What may run on us: all units that compute with the host's processors share these. */
static clv_status *add_host_processors(machine_maker *m) {
    const clv_processors processors = {"host", (uint32_t)clv_num_processors()};
    return clv_machine_add_processors(&m->builder, &processors, &m->processors);
}

/* How many of its own threads a unit of the host's processors computes with. */
static uint32_t num_threads(
    const clv_unit_name *name, const clv_device_info *info, uint32_t count) {
    const uint32_t most = (uint32_t)clv_num_processors();
    const uint32_t threads = name->kind == CLV_UNIT_CPU    ? count
                             : name->kind == CLV_UNIT_CORE ? 1
                                                           : info->compute_units;
    return threads < 1 ? 1 : threads < most ? threads : most;
}

static clv_status *add_unit(machine_maker *m, const clv_unit_name *name) {
    uint32_t count, index;
    const clv_device_info *info = clv_unit_info(m->table, name, &count);
    if (info == NULL) {
        return CLV_ERROR(NO_DEVICE, "'%s' has no device", name->text);
    }
    clv_unit_speed speed = clv_unit_speed_of(m->table, name);
    const clv_unit_limits *limits = &name->limits;
    bool is_inline = name->kind == CLV_UNIT_CPU || name->kind == CLV_UNIT_CORE;
    bool is_limited = isfinite(limits->link_per_second) || limits->latency_us > 0;
    clv_unit unit = clv_unit_default(name->text, clv_unit_kind_name(name->kind));
    unit.driver = info->driver;
    unit.memory = m->host;
    unit.limit_bytes = limits->memory_bytes;
    unit.speed = limits->speed;
    unit.peak_flops = speed.peak_flops > 0 ? speed.peak_flops
                                           : fmax(info->clock_ghz, 0.5) * 1e9 *
                                                 fmax(info->compute_units, 1) * gpu_flops_per_cycle;
    unit.bandwidth = speed.bandwidth > 0 ? speed.bandwidth
                     : info->is_cpu      ? (double)INFINITY
                                         : gpu_bandwidth;
    unit.launch_us = name->kind == CLV_UNIT_CPU ? gang_launch_us
                     : is_inline                ? core_launch_us
                                                : gpu_launch_us;
    unit.overlaps = !is_inline; /* the thread of a core copies what it receives */
    if (is_inline || info->is_cpu) {
        unit.processors = m->processors;
        unit.threads = num_threads(name, info, count);
    }
    if (!is_inline || is_limited) {
        CLV_TRY(add_own_memory(m, name, info, &unit));
    }
    m->traits[m->builder.machine->num_units] = clv_unit_traits(info, count);
    return clv_machine_add_unit(&m->builder, &unit, &index);
}

static clv_status *make_machine(machine_maker *m, const char *list, clv_machine **out_machine) {
    clv_unit_name *names = NULL;
    size_t num_names = 0;
    clv_status *status = NULL;
    CLV_TRY(clv_machine_builder_init(&m->builder, "this machine"));
    CLV_TRY_DONE(clv_unit_list_parse(
        list != NULL ? list : clv_default_devices(m->table), m->table->entries,
        m->table->num_entries, &names, &num_names));
    m->traits = clv_alloc_zeroed(num_names + 1, sizeof *m->traits);
    if (m->traits == NULL) {
        status = CLV_ERROR(NO_MEMORY, "out of host memory for a machine");
        goto done;
    }
    CLV_TRY_DONE(add_host(m));
    CLV_TRY_DONE(add_host_processors(m));
    for (size_t i = 0; i < num_names; i++) {
        CLV_TRY_DONE(add_unit(m, &names[i]));
    }
    status = clv_machine_builder_take(&m->builder, out_machine);
done:
    clv_free(names);
    clv_machine_builder_deinit(&m->builder);
    return status;
}

clv_status *clv_machine_of_units(
    const char *list, bool probes, clv_cost_db *db, clv_machine **out_machine,
    clv_traits **out_traits) {
    clv_unit_table table;
    machine_maker m = {.probes = probes, .db = db, .table = &table};
    *out_machine = NULL;
    CLV_TRY(clv_units_ocl(&m.ocl));
    CLV_TRY(clv_unit_table_init(m.ocl, &table));
    clv_status *status = make_machine(&m, list, out_machine);
    clv_unit_table_deinit(&table);
    if (status == NULL && out_traits != NULL) {
        *out_traits = m.traits;
    } else {
        clv_free(m.traits);
    }
    return status;
}

/* Whether "all" names anything: cores or GPUs. */
static clv_status *has_cores_or_gpus(bool *out_has) {
    clv_ocl *ocl = NULL;
    clv_unit_table table;
    *out_has = false;
    CLV_TRY(clv_units_ocl(&ocl));
    CLV_TRY(clv_unit_table_init(ocl, &table));
    for (size_t i = 0; i < table.num_entries; i++) {
        clv_unit_kind kind = table.entries[i].name.kind;
        *out_has = *out_has ||
                   (table.entries[i].usable && (kind == CLV_UNIT_CORE || kind == CLV_UNIT_GPU));
    }
    clv_unit_table_deinit(&table);
    return NULL;
}

static clv_status *save_machine(const char *devices, const char *path) {
    clv_machine *machine = NULL;
    char *json = NULL;
    bool has_all = true;
    if (devices == NULL) {
        CLV_TRY(has_cores_or_gpus(&has_all));
        devices = has_all ? "all" : NULL;
    }
    CLV_TRY(clv_machine_of_units(devices, true, NULL, &machine, NULL));
    clv_status *status = clv_machine_format_json(machine, &json);
    if (status == NULL) {
        status = clv_file_replace(path, json, strlen(json));
    }
    clv_free(json);
    clv_machine_destroy(machine);
    return status;
}

cleave_status *cleave_devices_save_machine(const char *devices, const char *path) {
    return public_status(save_machine(devices, path));
}
