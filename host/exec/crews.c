#include "host/exec/crews.h"

#include "host/base/memory.h"

static void mark_units(const clv_joined *joined, clv_crews *crews) {
    for (size_t i = 0; i < joined->all.num_steps; i++) {
        const uint32_t unit = joined->all.steps[i].unit;
        if (unit < crews->num_units) {
            crews->crew_of_unit[unit] = 0;
        }
    }
}

static bool is_core(const clv_exec_unit *unit) {
    return unit->devices[0]->info.kind == CLV_DEVICE_CORE;
}

static uint32_t num_lanes_of(const clv_exec_unit *unit) {
    return is_core(unit) ? (uint32_t)unit->num_devices : CLV_FEEDERS;
}

/* Units without steps are left out. A memory has cores, or one device with queues. */
static void number_crews(const clv_joined *joined, const clv_exec_unit *units, clv_crews *crews) {
    for (uint32_t u = 0; u < crews->num_units; u++) {
        if (crews->crew_of_unit[u] == CLV_NO_INDEX) {
            continue;
        }
        crews->crew_of_unit[u] = CLV_NO_INDEX;
        for (uint32_t other = 0; other < u && is_core(&units[u]); other++) {
            if (crews->crew_of_unit[other] != CLV_NO_INDEX && is_core(&units[other]) &&
                joined->memory_of_unit[other] == joined->memory_of_unit[u]) {
                crews->crew_of_unit[u] = crews->crew_of_unit[other];
            }
        }
        if (crews->crew_of_unit[u] == CLV_NO_INDEX) {
            crews->crew_of_unit[u] = crews->num_crews++;
        }
    }
}

/* The faster ones before the others, else by unit. */
static void insert_lane(clv_crew_lane *lanes, uint32_t count, clv_crew_lane lane) {
    for (; count > 0 && lanes[count - 1].speed < lane.speed; count--) {
        lanes[count] = lanes[count - 1];
    }
    lanes[count] = lane;
}

static void add_lanes(const clv_exec_unit *units, clv_crews *crews) {
    uint32_t count = 0;
    for (uint32_t c = 0; c < crews->num_crews; c++) {
        crews->first_lane[c] = count;
        for (uint32_t u = 0; u < crews->num_units; u++) {
            const uint32_t num_lanes = crews->crew_of_unit[u] == c ? num_lanes_of(&units[u]) : 0;
            for (uint32_t i = 0; i < num_lanes; i++) {
                const clv_crew_lane lane = {
                    .unit = u,
                    .device = is_core(&units[u]) ? i : 0,
                    .speed = units[u].name.limits.speed,
                    .has_queues = !is_core(&units[u]),
                };
                const uint32_t first = crews->first_lane[c];
                insert_lane(&crews->lanes[first], count++ - first, lane);
            }
        }
    }
    crews->first_lane[crews->num_crews] = count;
}

clv_status *clv_crews_create(
    const clv_joined *joined, const clv_exec_unit *units, uint32_t num_units,
    clv_crews *out_crews) {
    size_t num_lanes = 0;
    for (uint32_t u = 0; u < num_units; u++) {
        num_lanes += num_lanes_of(&units[u]);
    }
    *out_crews = (clv_crews){
        .crew_of_unit = clv_alloc_zeroed((size_t)num_units + 1, sizeof(uint32_t)),
        .first_lane = clv_alloc_zeroed((size_t)num_units + 2, sizeof(uint32_t)),
        .lanes = clv_alloc_zeroed(num_lanes + 1, sizeof(clv_crew_lane)),
        .num_units = num_units,
    };
    if (out_crews->crew_of_unit == NULL || out_crews->first_lane == NULL ||
        out_crews->lanes == NULL) {
        clv_crews_deinit(out_crews);
        return CLV_ERROR(NO_MEMORY, "out of host memory for a session");
    }
    for (uint32_t u = 0; u < num_units; u++) {
        out_crews->crew_of_unit[u] = CLV_NO_INDEX;
    }
    mark_units(joined, out_crews);
    number_crews(joined, units, out_crews);
    add_lanes(units, out_crews);
    return NULL;
}

void clv_crews_deinit(clv_crews *crews) {
    clv_free(crews->crew_of_unit);
    clv_free(crews->first_lane);
    clv_free(crews->lanes);
    *crews = (clv_crews){.num_crews = 0};
}
