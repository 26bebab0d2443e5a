#include "kernels_cl/elementwise/elementwise.h"

#include "kernels_cl/blocked/blocked.h"
#include <stdio.h>
#include <string.h>

extern const clv_kernel_source clv_source_elementwise_f32, clv_source_elementwise_i64;

static const clv_ew_op float_ops[] = {
#define EW_FLOAT(name, operands, flops, kernel, reference) {#name, operands, flops, false},
#define EW_FLOAT_RARE(name, operands, flops, kernel, reference) {#name, operands, flops, true},
#include "kernels_cl/elementwise/elementwise_ops.def"
#undef EW_FLOAT
#undef EW_FLOAT_RARE
};

static const clv_ew_op int_ops[] = {
#define EW_INT(name, operands, flops, expression) {#name, operands, flops, false},
#include "kernels_cl/elementwise/elementwise_ops.def"
#undef EW_INT
};

const clv_ew_op *clv_ew_op_find(clv_ew_domain domain, uint32_t op) {
    return domain == CLV_EW_FLOAT ? &float_ops[op] : &int_ops[op];
}

uint32_t clv_ew_add(clv_ew_expr *expr, uint32_t op, uint32_t x, uint32_t y, uint32_t z) {
    expr->steps[expr->num_steps] = (clv_ew_expr_step){.op = op, .operands = {x, y, z}};
    return CLV_EW_RESULT + expr->num_steps++;
}

/* --- expression to program --- */

/* One launch in the making: an expression whose inputs 0 .. are the launch's operands. */
typedef struct launch_plan {
    clv_ew_expr expr;
    clv_arg args[EW_MAX_OPERANDS];
    const clv_view *views[EW_MAX_OPERANDS];
    uint32_t num_operands;
    elementwise_params params;
} launch_plan;

/* Which step reads each value last; values are operands first, then results. */
static void find_last_uses(
    const clv_ew_expr *expr, uint32_t num_operands,
    uint32_t last_use[EW_MAX_OPERANDS + EW_MAX_STEPS]) {
    memset(last_use, 0, (EW_MAX_OPERANDS + EW_MAX_STEPS) * sizeof *last_use);
    for (uint32_t s = 0; s < expr->num_steps; s++) {
        const clv_ew_expr_step *step = &expr->steps[s];
        for (uint32_t i = 0; i < clv_ew_op_find(expr->domain, step->op)->num_operands; i++) {
            uint32_t operand = step->operands[i];
            uint32_t value =
                operand < CLV_EW_RESULT ? operand : num_operands + operand - CLV_EW_RESULT;
            last_use[value] = s;
        }
    }
}

/* Registers by linear scan: an operand has the register of its index; a result takes the lowest
 * that is free before its own operands are let go, so no step writes what it reads (compilers then
 * vectorise its loop without checks). Registers of operands that are loaded once for all blocks
 * are never written. Returns false where they do not suffice. */
static bool assign_registers(
    const clv_ew_expr *expr, uint32_t num_operands, uint32_t kept, elementwise_params *params) {
    uint32_t last_use[EW_MAX_OPERANDS + EW_MAX_STEPS];
    uint32_t place[EW_MAX_STEPS];
    uint32_t owner[EW_NUM_REGISTERS]; /* value + 1, 0: free */
    find_last_uses(expr, num_operands, last_use);
    for (uint32_t r = 0; r < EW_NUM_REGISTERS; r++) {
        owner[r] = r < num_operands ? r + 1 : 0;
    }
    for (uint32_t s = 0; s < expr->num_steps; s++) {
        const clv_ew_expr_step *step = &expr->steps[s];
        uint32_t to = 0;
        while (to < EW_NUM_REGISTERS && owner[to] != 0) {
            to++;
        }
        if (to == EW_NUM_REGISTERS) {
            return false;
        }
        uint32_t code = step->op | to << 8;
        for (uint32_t i = 0; i < clv_ew_op_find(expr->domain, step->op)->num_operands; i++) {
            uint32_t operand = step->operands[i];
            code |= (operand < CLV_EW_RESULT ? operand : place[operand - CLV_EW_RESULT])
                    << (12 + 4 * i);
        }
        owner[to] = num_operands + s + 1;
        place[s] = to;
        for (uint32_t r = 0; r < EW_NUM_REGISTERS; r++) {
            if (owner[r] != 0 && last_use[owner[r] - 1] <= s && r != to && (kept >> r & 1) == 0) {
                owner[r] = 0;
            }
        }
        ew_step *out = &params->steps[s];
        out->code = code;
        if (expr->domain == CLV_EW_FLOAT) {
            memcpy(&out->constants[0], &step->a, sizeof step->a);
            memcpy(&out->constants[1], &step->b, sizeof step->b);
        } else {
            memcpy(out->constants, &step->k, sizeof step->k);
        }
        params->out_register = to;
    }
    params->num_steps = expr->num_steps;
    return true;
}

bool clv_ew_expr_fits(const clv_ew_expr *expr) {
    if (expr->folds) {
        return true;
    }
    uint32_t num_operands = 0;
    for (uint32_t s = 0; s < expr->num_steps; s++) {
        for (uint32_t i = 0; i < clv_ew_op_find(expr->domain, expr->steps[s].op)->num_operands;
             i++) {
            uint32_t operand = expr->steps[s].operands[i];
            if (operand < CLV_EW_RESULT && operand >= num_operands) {
                num_operands = operand + 1;
            }
        }
    }
    elementwise_params params = {0};
    return num_operands <= EW_MAX_OPERANDS &&
           assign_registers(expr, num_operands, (1u << num_operands) - 1, &params);
}

/* --- operands --- */

/* The type code of an operand whose output has type `other`, or of an output whose first input has.
 */
static clv_u32 launch_dtype(
    const clv_ew_expr *expr, clv_dtype dtype, clv_dtype other, bool is_operand) {
    if (expr->moves_bits && !clv_dtype_is_integer(dtype) && dtype != CLV_BOOL) {
        size_t bytes = clv_dtype_bytes(dtype);
        return bytes == 2 ? CLV_UINT16 : bytes == 4 ? CLV_UINT32 : CLV_UINT64;
    }
    if (dtype != CLV_FLOAT64) {
        return dtype;
    }
    if (expr->domain == CLV_EW_INT && other == CLV_UINT64) {
        return EW_FLOAT64_UNSIGNED;
    }
    bool is_narrow = other == CLV_FLOAT16 || other == CLV_BFLOAT16;
    return is_operand && is_narrow ? EW_FLOAT64_TO_ODD : CLV_FLOAT64;
}

static bool needs_fp64(const elementwise_params *params) {
    bool needs = params->out_dtype == CLV_FLOAT64 || params->out_dtype >= EW_FLOAT64_TO_ODD;
    for (uint32_t k = 0; k < params->num_operands; k++) {
        needs |= params->dtypes[k] == CLV_FLOAT64 || params->dtypes[k] >= EW_FLOAT64_TO_ODD;
    }
    return needs;
}

/* How each operand lies under the output, and the fewest dimensions that describe those that are
 * neither dense nor one element: neighbours along which all of them go on evenly are one. */
static void place_operands(launch_plan *plan, const clv_shape *out) {
    elementwise_params *params = &plan->params;
    int64_t strides[EW_MAX_OPERANDS][CLV_MAX_RANK];
    bool any_strided = false;
    for (uint32_t k = 0; k < plan->num_operands; k++) {
        const clv_shape *shape = &plan->views[k]->shape;
        int64_t elements = clv_shape_elements(shape), stride = 1;
        bool is_dense = elements == (int64_t)params->num_elements;
        params->modes[k] = is_dense ? EW_DENSE : elements == 1 ? EW_SPLAT : EW_STRIDED;
        any_strided |= params->modes[k] == EW_STRIDED;
        for (int i = 0; i < out->rank; i++) {
            int from = shape->rank - 1 - i;
            int64_t dim = from >= 0 ? shape->dims[from] : 1;
            strides[k][out->rank - 1 - i] = dim == 1 ? 0 : stride;
            stride *= dim;
        }
    }
    for (int axis = out->rank - 1; axis >= 0 && any_strided; axis--) {
        clv_u32 size = (clv_u32)out->dims[axis];
        uint32_t last = params->num_dims - 1;
        bool merges = params->num_dims > 0;
        for (uint32_t k = 0; k < plan->num_operands && merges; k++) {
            merges = params->modes[k] != EW_STRIDED ||
                     strides[k][axis] == (int64_t)params->dims[last] * params->strides[k][last];
        }
        if (size == 1) {
            continue;
        }
        if (merges) {
            params->dims[last] *= size;
            continue;
        }
        for (uint32_t k = 0; k < plan->num_operands; k++) {
            params->strides[k][params->num_dims] = (clv_u32)strides[k][axis];
        }
        params->dims[params->num_dims++] = size;
    }
}

/* --- launches --- */

/* The program: of the width that suits the unit (a GPU's registers hold one vector, a core's 16),
 * with the rare operations only where they are needed, and CLV_HAS(only) alone. */
static const char *float_options(
    const clv_ew_expr *expr, const clv_traits *traits, int only,
    char out_options[CLV_OPTIONS_BYTES]) {
    bool has_rare = false;
    for (uint32_t s = 0; s < expr->num_steps; s++) {
        has_rare |= clv_ew_op_find(CLV_EW_FLOAT, expr->steps[s].op)->is_rare;
    }
    clv_only_options(traits, only, out_options);
    const size_t length = strlen(out_options);
    snprintf(
        out_options + length, CLV_OPTIONS_BYTES - length, "%s%s",
        clv_width(traits) == 4 ? " -DEW_VECTORS=1" : "", has_rare ? " -DEW_ALL" : "");
    return out_options;
}

/* Fills plan->params and emits; output 0 of the call is written. */
static clv_status *emit_plan(
    launch_plan *plan, const clv_call *call, const clv_traits *traits, const clv_emitter *emitter) {
    const clv_view *out = &call->outputs[0];
    elementwise_params *params = &plan->params;
    *params = (elementwise_params){
        .num_elements = (clv_u64)clv_shape_elements(&out->shape),
        .num_operands = plan->num_operands,
    };
    clv_dtype first = plan->num_operands > 0 ? plan->views[0]->dtype : out->dtype;
    params->out_dtype = launch_dtype(&plan->expr, out->dtype, first, false);
    uint32_t kept = 0;
    place_operands(plan, &out->shape);
    for (uint32_t k = 0; k < plan->num_operands; k++) {
        params->dtypes[k] = launch_dtype(&plan->expr, plan->views[k]->dtype, out->dtype, true);
        kept |= (uint32_t)(params->modes[k] == EW_SPLAT) << k;
    }
    if (needs_fp64(params) && !traits->has_fp64) {
        return CLV_ERROR(UNSUPPORTED, "the device has no float64");
    }
    if (!assign_registers(&plan->expr, plan->num_operands, kept, params)) {
        return CLV_ERROR(INTERNAL, "an elementwise expression needs too many registers");
    }
    bool is_float = plan->expr.domain == CLV_EW_FLOAT;
    char options[CLV_OPTIONS_BYTES];
    clv_launch launch = {
        .source = is_float ? &clv_source_elementwise_f32 : &clv_source_elementwise_i64,
        .entry = is_float ? "elementwise_f32" : "elementwise_i64",
        .options = is_float         ? float_options(&plan->expr, traits, 1, options)
                   : traits->is_cpu ? NULL
                                    : "-DEW_BLOCK=4",
        .num_args = EW_MAX_OPERANDS + 1,
        .params = params,
        .params_bytes = sizeof *params,
        .local_size = clv_local_size(traits),
    };
    for (uint32_t k = 0; k < EW_MAX_OPERANDS; k++) {
        launch.args[k] = k < plan->num_operands ? plan->args[k] : (clv_arg){CLV_ARG_NONE, 0};
    }
    launch.args[EW_MAX_OPERANDS] = (clv_arg){CLV_ARG_OUTPUT, 0};
    /* 16384: 64 KiB of each operand, some microseconds */
    clv_deal(traits, params->num_elements, 16384, &params->chunk, &launch.num_items);
    return emitter->launch(emitter->context, &launch);
}

/* Appends the steps behind a fold to a launch whose last step is the fold's. */
static void add_rest(const clv_ew_expr *expr, clv_ew_expr *to) {
    const uint32_t before = to->num_steps - 1;
    for (uint32_t s = 1; s < expr->num_steps; s++) {
        clv_ew_expr_step step = expr->steps[s];
        for (uint32_t i = 0; i < clv_ew_op_find(expr->domain, step.op)->num_operands; i++) {
            step.operands[i] += before;
        }
        to->steps[to->num_steps++] = step;
    }
}

/* The first launch folds up to five inputs, each further one four more into the output. */
static clv_status *emit_fold(
    const clv_ew_expr *expr, const clv_call *call, const clv_traits *traits,
    const clv_emitter *emitter) {
    for (size_t next = 0; next < call->num_inputs;) {
        launch_plan plan = {.expr = {.domain = expr->domain}};
        if (next > 0) {
            plan.args[0] = (clv_arg){CLV_ARG_OUTPUT, 0};
            plan.views[plan.num_operands++] = &call->outputs[0];
        }
        for (; next < call->num_inputs && plan.num_operands < EW_MAX_OPERANDS; next++) {
            plan.args[plan.num_operands] = (clv_arg){CLV_ARG_INPUT, (uint32_t)next};
            plan.views[plan.num_operands++] = &call->inputs[next];
        }
        uint32_t result = 0;
        for (uint32_t k = 1; k < plan.num_operands; k++) {
            result = clv_ew_add(&plan.expr, expr->steps[0].op, result, k, 0);
        }
        if (plan.num_operands == 1) {
            uint32_t copy = expr->domain == CLV_EW_FLOAT ? EW_FLOAT_COPY : EW_INT_COPY;
            result = clv_ew_add(&plan.expr, copy, 0, 0, 0);
        }
        if (next == call->num_inputs) {
            add_rest(expr, &plan.expr);
        }
        CLV_TRY(emit_plan(&plan, call, traits, emitter));
    }
    return NULL;
}

/* The call's expression with the inputs that it reads as operands. False where they are too many.
 */
static bool plan_operands(const clv_call *call, launch_plan *plan) {
    const clv_ew_expr *expr = call->params;
    uint32_t operand_of[CLV_EW_RESULT]; /* input to operand + 1 */
    *plan = (launch_plan){.expr = *expr};
    memset(operand_of, 0, sizeof operand_of);
    for (uint32_t s = 0; s < expr->num_steps; s++) {
        clv_ew_expr_step *step = &plan->expr.steps[s];
        for (uint32_t i = 0; i < clv_ew_op_find(expr->domain, step->op)->num_operands; i++) {
            uint32_t input = step->operands[i];
            if (input >= CLV_EW_RESULT) {
                continue;
            }
            if (operand_of[input] == 0) {
                if (plan->num_operands == EW_MAX_OPERANDS) {
                    return false;
                }
                plan->args[plan->num_operands] = (clv_arg){CLV_ARG_INPUT, input};
                plan->views[plan->num_operands++] = &call->inputs[input];
                operand_of[input] = plan->num_operands;
            }
            step->operands[i] = operand_of[input] - 1;
        }
    }
    return true;
}

static clv_status *emit_ref(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_ew_expr *expr = call->params;
    if (clv_shape_elements(&call->outputs[0].shape) == 0) {
        return NULL;
    }
    if (expr->folds) {
        return emit_fold(expr, call, traits, emitter);
    }
    launch_plan plan;
    if (!plan_operands(call, &plan)) {
        return CLV_ERROR(INTERNAL, "an elementwise expression reads too many inputs");
    }
    return emit_plan(&plan, call, traits, emitter);
}

clv_status *clv_epilogue_emit(
    const clv_call *call, const clv_traits *traits, const clv_emitter *emitter) {
    const clv_epilogue *epilogue = call->epilogue;
    if (clv_shape_elements(&call->outputs[0].shape) == 0) {
        return NULL;
    }
    launch_plan plan = {
        .expr = *epilogue->expr,
        .args = {{CLV_ARG_OUTPUT, 0}},
        .views = {&call->outputs[0]},
        .num_operands = 1,
    };
    for (size_t i = epilogue->first_input; i < call->num_inputs; i++) {
        if (plan.num_operands == EW_MAX_OPERANDS) {
            return CLV_ERROR(INTERNAL, "an epilogue reads too many inputs");
        }
        plan.args[plan.num_operands] = (clv_arg){CLV_ARG_INPUT, (uint32_t)i};
        plan.views[plan.num_operands++] = &call->inputs[i];
    }
    return emit_plan(&plan, call, traits, emitter);
}

/* --- channels in blocks ---------------------------------------------------------------------- */

/* How an operand lies under a blocked output; EW_STRIDED: in no way that the kernel knows. */
static clv_u32 blocked_mode(const clv_view *view, const clv_shape *out) {
    const int skipped = out->rank - view->shape.rank;
    if (view->dtype != CLV_FLOAT32 || skipped < 0) {
        return EW_STRIDED;
    }
    if (clv_shape_equal(&view->shape, out)) {
        return EW_DENSE;
    }
    if (clv_shape_elements(&view->shape) == 1) {
        return EW_SPLAT;
    }
    for (int i = 0; i < view->shape.rank; i++) {
        const int axis = i + skipped;
        const int64_t dim = view->shape.dims[i];
        if (axis == 1 ? dim != out->dims[1] : dim != 1 && (axis != 0 || dim != out->dims[0])) {
            return EW_STRIDED;
        }
    }
    return skipped <= 1 ? EW_CHANNELS : EW_STRIDED;
}

static bool blocked_fits(const clv_call *call, const clv_traits *traits) {
    const clv_ew_expr *expr = call->params;
    const clv_view *out = &call->outputs[0];
    const clv_layout layout = {.block = (uint8_t)clv_width(traits)};
    launch_plan plan;
    if (!traits->is_cpu || expr->domain != CLV_EW_FLOAT || expr->folds ||
        !clv_layout_fits(out->dtype, &out->shape, &layout) ||
        out->shape.dims[1] < layout.block / 2 || !plan_operands(call, &plan)) {
        return false;
    }
    bool has_map = false;
    for (uint32_t k = 0; k < plan.num_operands; k++) {
        const clv_u32 mode = blocked_mode(plan.views[k], &out->shape);
        if (mode == EW_STRIDED) {
            return false;
        }
        has_map |= mode == EW_DENSE;
    }
    return has_map;
}

static void blocked_layouts(
    const clv_call *call, const clv_traits *traits, clv_layout *inputs, clv_layout *outputs) {
    launch_plan plan;
    outputs[0].block = (uint8_t)clv_width(traits);
    if (!plan_operands(call, &plan)) {
        return; /* a call that fits has few enough */
    }
    for (uint32_t k = 0; k < plan.num_operands; k++) {
        if (blocked_mode(plan.views[k], &call->outputs[0].shape) == EW_DENSE) {
            inputs[plan.args[k].index].block = (uint8_t)clv_width(traits);
        }
    }
}

static void place_blocked(const clv_view *view, const clv_shape *out, ew_blocked_operand *to) {
    clv_blocked map;
    if (blocked_mode(view, out) == EW_DENSE) {
        clv_blocked_from_view(view, &map);
        *to = (ew_blocked_operand){
            .image = map.image, .plane = map.plane, .row = map.row, .lead = map.lead};
    } else {
        const bool is_each = view->shape.rank == out->rank && view->shape.dims[0] != 1;
        to->image = is_each ? (clv_u64)out->dims[1] : 0;
    }
}

enum { RUN_COLUMNS = 16 }; /* that the kernel does at once */

/* Rows of maps that have too few for lanes to share are cut into columns, of all channels: what
 * lanes take of a convolution's positions too. Returns the number of items. */
static uint64_t deal_blocked(const clv_traits *traits, int64_t images, ew_blocked_params *p) {
    const uint64_t row_work = (uint64_t)p->out.row * p->num_steps;
    const uint64_t items =
        clv_deal_map(traits, images, p->out.planes, p->out.height, row_work, &p->deal);
    const uint32_t runs = p->out.width / RUN_COLUMNS, parts = 3 * traits->num_lanes;
    p->row_items = (clv_u32)items;
    p->columns = p->out.width;
    if (p->deal.by_rows || !clv_blocked_by_rows(traits, runs, 0, 1)) {
        return items;
    }
    p->columns = (runs / parts + 1) * RUN_COLUMNS;
    return items * ((p->out.width + p->columns - 1) / p->columns);
}

static clv_status *emit_blocked(
    const clv_call *call, const clv_traits *traits, const int32_t *tunables,
    const clv_emitter *emitter) {
    (void)tunables;
    const clv_view *out = &call->outputs[0];
    launch_plan plan;
    ew_blocked_params p = {.channels = (clv_u32)out->shape.dims[1]};
    uint32_t kept = 0;
    if (!plan_operands(call, &plan)) {
        return CLV_ERROR(INTERNAL, "an elementwise expression reads too many inputs");
    }
    char options[CLV_OPTIONS_BYTES];
    clv_launch launch = {
        .source = &clv_source_elementwise_f32,
        .entry = "elementwise_blocked",
        .options = float_options(&plan.expr, traits, 2, options),
        .num_args = EW_MAX_OPERANDS + 1,
        .params = &p,
        .params_bytes = sizeof p,
        .local_size = 1,
    };
    for (uint32_t k = 0; k < EW_MAX_OPERANDS; k++) {
        launch.args[k] = k < plan.num_operands ? plan.args[k] : (clv_arg){CLV_ARG_NONE, 0};
        if (k < plan.num_operands) {
            p.modes[k] = blocked_mode(plan.views[k], &out->shape);
            place_blocked(plan.views[k], &out->shape, &p.operands[k]);
            kept |= (uint32_t)(p.modes[k] != EW_DENSE) << k;
        }
    }
    launch.args[EW_MAX_OPERANDS] = (clv_arg){CLV_ARG_OUTPUT, 0};
    if (!assign_registers(&plan.expr, plan.num_operands, kept, &plan.params)) {
        return CLV_ERROR(INTERNAL, "an elementwise expression needs too many registers");
    }
    p.num_operands = plan.num_operands;
    p.num_steps = plan.params.num_steps;
    p.out_register = plan.params.out_register;
    memcpy(p.steps, plan.params.steps, sizeof p.steps);
    clv_blocked_from_view(out, &p.out);
    launch.num_items = deal_blocked(traits, out->shape.dims[0], &p);
    return emitter->launch(emitter->context, &launch);
}

static const clv_variant variants[] = {
    {.name = "ref",
     .summary = "an interpreter: blocks of elements in registers, one operation at a time",
     .emit = emit_ref},
    {.name = "blocked",
     .summary = "CPUs, channels in blocks: maps of one shape, channels and scalars",
     .fits = blocked_fits,
     .layouts = blocked_layouts,
     .emit = emit_blocked},
};

const clv_kernel_family clv_kernels_elementwise = {
    .name = "elementwise",
    .variants = variants,
    .num_variants = sizeof variants / sizeof variants[0],
};
