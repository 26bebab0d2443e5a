#include "kernels_cl/kernel.h"

#include "kernels_cl/clv.h"
#include "kernels_cl/elementwise/elementwise.h"
#include <stdio.h>

static const clv_kernel_family *const families[] = {
#define FAMILY(name) &clv_kernels_##name,
#include "kernels_cl/families.def"
#undef FAMILY
    NULL,
};

size_t clv_kernel_family_count(void) {
    return sizeof families / sizeof families[0] - 1;
}

const clv_kernel_family *clv_kernel_family_at(size_t index) {
    return index < clv_kernel_family_count() ? families[index] : NULL;
}

const char *clv_kernel_error_meaning(uint32_t error) {
    return error == CLV_KERNEL_ERROR_INDEX ? "an index is out of range"
                                           : "an input value is not allowed";
}

void clv_deal(
    const clv_traits *traits, uint64_t elements, uint32_t cpu_chunk, uint32_t *out_chunk,
    uint64_t *out_num_items) {
    uint64_t chunk = 4;
    if (traits->is_cpu) {
        /* four items a lane, so that uneven cores even out; not below 256 elements, where dealing
         * costs more */
        uint64_t even = elements / ((uint64_t)traits->num_lanes * 4 + 1) + 1;
        chunk = even < cpu_chunk ? even : cpu_chunk;
        chunk = chunk < 256 ? 256 : (chunk + 15) / 16 * 16;
    }
    *out_chunk = (uint32_t)chunk;
    *out_num_items = (elements + chunk - 1) / chunk;
}

uint64_t clv_deal_rows(
    const clv_traits *traits, uint64_t rows, uint64_t row_work, uint32_t *out_rows_per_item) {
    uint64_t per_item = 1;
    if (traits->is_cpu) {
        /* eight items a lane where there is that much, so that uneven cores even out */
        uint64_t wanted = 16384 / (row_work + 1) + 1;
        uint64_t even = rows / ((uint64_t)traits->num_lanes * 8 + 1) + 1;
        per_item = wanted < even ? wanted : even;
    }
    *out_rows_per_item = (uint32_t)per_item;
    return (rows + per_item - 1) / per_item;
}

uint64_t clv_rows_of_lane(const clv_traits *traits, uint64_t rows) {
    const uint64_t lanes = traits->num_lanes != 0 ? traits->num_lanes : 1;
    const uint64_t own = (rows + lanes - 1) / lanes;
    return own == 0 ? 4 : (own + 3) / 4 * 4;
}

uint64_t clv_deal_lane_rows(
    const clv_traits *traits, uint64_t rows, uint64_t row_work, uint32_t *out_rows_per_item) {
    const uint64_t num_items = clv_deal_rows(traits, rows, row_work, out_rows_per_item);
    if (!traits->is_cpu) {
        return num_items;
    }
    const uint64_t own = clv_rows_of_lane(traits, rows);
    while (own % *out_rows_per_item != 0) {
        *out_rows_per_item -= 1;
    }
    return (rows + *out_rows_per_item - 1) / *out_rows_per_item;
}

uint64_t clv_even_tiles(uint64_t num_tiles, uint64_t most) {
    uint64_t best = most < num_tiles ? most : num_tiles, least_waste = UINT64_MAX;
    best = best != 0 ? best : 1;
    const uint64_t first = best;
    /* a 32nd is little enough, and an item of less than an eighth costs more than it saves */
    for (uint64_t tiles = first; tiles * 8 >= first && tiles > 0 && least_waste > num_tiles / 32;
         tiles--) {
        uint64_t waste = (num_tiles + tiles - 1) / tiles * tiles - num_tiles;
        if (waste < least_waste) {
            least_waste = waste;
            best = tiles;
        }
    }
    return best;
}

uint32_t clv_local_size(const clv_traits *traits) {
    if (traits->is_cpu) {
        return 1;
    }
    return traits->max_local_size != 0 && traits->max_local_size < 64 ? traits->max_local_size : 64;
}

uint32_t clv_width(const clv_traits *traits) {
    if (!traits->is_cpu) {
        return 4;
    }
    return traits->simd_bytes == 0 || traits->simd_bytes >= 64 ? 16 : 8;
}

const char *clv_width_options(const clv_traits *traits) {
    uint32_t width = clv_width(traits);
    return width == 4 ? "-DCLV_WIDTH=4" : width == 8 ? "-DCLV_WIDTH=8" : NULL;
}

const char *clv_only_options(
    const clv_traits *traits, int only, char out_options[CLV_OPTIONS_BYTES]) {
    const char *width = clv_width_options(traits);
    snprintf(
        out_options, CLV_OPTIONS_BYTES, "%s%s-DCLV_ONLY=%d", width != NULL ? width : "",
        width != NULL ? " " : "", only);
    return out_options;
}

uint32_t clv_variant_num_settings(const clv_variant *variant) {
    size_t count = 1;
    for (size_t i = 0; i < variant->num_tunables; i++) {
        count *= variant->tunables[i].num_values;
    }
    return (uint32_t)count;
}

void clv_way_tunables(const clv_way *way, int32_t *out_values) {
    size_t rest = way->setting;
    for (size_t i = 0; i < way->variant->num_tunables; i++) {
        const clv_tunable *tunable = &way->variant->tunables[i];
        out_values[i] = tunable->values[rest % tunable->num_values];
        rest /= tunable->num_values;
    }
}

clv_status *clv_variant_emit(
    const clv_variant *variant, const clv_call *call, const clv_traits *traits,
    const int32_t *tunables, const clv_emitter *emitter) {
    bool takes_all = call->epilogue == NULL ||
                     (variant->takes_epilogue != NULL && variant->takes_epilogue(call, traits));
    if (takes_all) {
        return variant->emit(call, traits, tunables, emitter);
    }
    const clv_call bare = clv_call_bare(call);
    CLV_TRY(variant->emit(&bare, traits, tunables, emitter));
    return clv_epilogue_emit(call, traits, emitter);
}
