/* Machines from text and JSON, bespoke patterns, routes, and what must be refused. */
#include "host/base/memory.h"
#include "host/base/text.h"
#include "host/machine/machine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static clv_machine *parse(const char *text) {
    clv_machine *machine = NULL;
    clv_status *status = clv_machine_parse_text(text, &machine);
    if (status != NULL) {
        fail_msg("%s: %s", text, clv_status_message(status));
    }
    return machine;
}

static void test_cores_and_gpus(void **state) {
    (void)state;
    clv_machine *machine =
        parse("core*4 peak=200G bw=40G mem=8G; gpu*2 peak=30T bw=2T mem=80G; link gpu* host bw=25G "
              "latency=10us; link gpu:0 gpu:1 bw=300G latency=3us");
    assert_int_equal(machine->num_units, 6);
    assert_int_equal(machine->num_memories, 3);
    assert_int_equal(machine->num_links, 3);
    assert_string_equal(machine->units[3].name, "core:3");
    assert_string_equal(machine->units[4].kind, "gpu");
    assert_true(machine->units[4].peak_flops == 30e12);
    assert_int_equal(machine->units[0].limit_bytes, 8ull << 30);
    assert_int_equal(machine->units[0].memory, machine->units[3].memory);
    assert_true(machine->links[2].latency_us == 3);
    clv_machine_destroy(machine);
}

static void test_nested_nodes(void **state) {
    (void)state;
    clv_machine *machine = parse(
        "node*8( core*64 peak=100G bw=20G; numa*2 bw=300G ); link node* node* bw=12G latency=2us");
    assert_int_equal(machine->num_units, 512);
    assert_string_equal(machine->units[64].name, "node:1/core:0");
    assert_string_equal(machine->memories[machine->units[31].memory].name, "node:0/numa:0");
    assert_string_equal(machine->memories[machine->units[32].memory].name, "node:0/numa:1");
    /* 28 between nodes; in each node one between the domains and two to its host memory */
    assert_int_equal(machine->num_links, 28 + 8 * 3);
    clv_machine_destroy(machine);
}

static void test_words_as_kinds(void **state) {
    (void)state;
    clv_machine *machine = parse("p1; p2; p3; link p* p* bw=1M");
    assert_int_equal(machine->num_units, 3);
    assert_int_equal(machine->num_links, 3);
    assert_string_equal(machine->units[2].name, "p3");
    assert_int_not_equal(machine->units[0].memory, machine->units[1].memory);
    clv_machine_destroy(machine);
}

/* What a link's '*' stands for: any characters but '/', as many as it takes. */
static void test_patterns(void **state) {
    (void)state;
    static const struct {
        const char *machine;
        uint32_t num_links;
    } cases[] = {
        {"a1b; a2b; ab1; link a*b host", 2},
        {"a1b; a2b; ab1; link *b* host", 3},
        {"aab; abab; link *ab host", 2},
        {"aab; abab; ba; link a*a*b host", 2},
        {"ab; abc; link ab** host", 2},
        {"ab; abc; link **c host", 1},
        {"p*12; link p:1* host", 3},
        {"p*12; link *:*1 host", 2},
        {"n*2(gpu*2); link n:*/gpu:* host", 4},
        {"n*2(gpu*2); link *1/gpu:* host; link n:0/* host", 4},
        {"n*2(gpu*2); link n:*/*/*1 host", 0},
        {"n*2(gpu*2); link *gpu:1 host", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clv_machine *machine = NULL;
        clv_status *status = clv_machine_parse_text(cases[i].machine, &machine);
        uint32_t num_links = status == NULL ? machine->num_links : 0;
        if (num_links != cases[i].num_links ||
            (num_links == 0 && strstr(clv_status_message(status), "names no unit") == NULL)) {
            fail_msg(
                "'%s': %u links, %s", cases[i].machine, num_links,
                status != NULL ? clv_status_message(status) : "none refused");
        }
        clv_status_destroy(status);
        clv_machine_destroy(machine);
    }
}

/* 10^13 ways to share out the letters among the stars, and none that fits. */
static void test_pattern_that_nearly_matches(void **state) {
    (void)state;
    char text[256], name[101];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    clv_format(text, sizeof text, "%s; link *a*a*a*a*a*a*a*a*a*a*b host", name);
    clv_machine *machine = NULL;
    clv_status *status = clv_machine_parse_text(text, &machine);
    assert_non_null(status);
    assert_non_null(strstr(clv_status_message(status), "names no unit"));
    clv_status_destroy(status);
}

/* Domains get the units that sit on host memory, wherever they stand in the text. */
static void test_units_of_domains(void **state) {
    (void)state;
    static const struct {
        const char *machine, *domains; /* [num_units]: digits, '-' for other memories */
    } cases[] = {
        {"core*4; numa*2 bw=1G", "0011"},
        {"numa*2 bw=1G; core*4", "0011"},
        {"numa*2 bw=1G; core; core", "01"},
        {"core; numa*2 bw=1G; core", "01"},
        {"numa*2; core*2; cpu*2", "0011"},
        {"core*3; numa*2", "001"},
        {"core*2; numa*3", "01"},
        {"gpu*4; core*4; numa*2 bw=1G; link gpu* host bw=1G", "----0011"},
        {"core*4; gpu*4; numa*2 bw=1G; link gpu* host bw=1G", "0011----"},
        {"numa*2; p*2; core*2; link p* host", "--01"},
        {"p*2; core*2; numa*2; link p* host", "--01"},
        {"n( core*2 ); core*2; numa*2; link n host", "--01"},
        {"numa*2; n( core*2; numa*2 ); core*2; link n host", "0101"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clv_machine *machine = parse(cases[i].machine);
        assert_int_equal(machine->num_units, strlen(cases[i].domains));
        for (uint32_t k = 0; k < machine->num_units; k++) {
            const char *domain = strstr(machine->memories[machine->units[k].memory].name, "numa:");
            if ((domain != NULL ? domain[5] : '-') != cases[i].domains[k]) {
                fail_msg(
                    "'%s': %s on %s, not %c", cases[i].machine, machine->units[k].name,
                    machine->memories[machine->units[k].memory].name, cases[i].domains[k]);
            }
        }
        clv_machine_destroy(machine);
    }
}

/* Links that numa* makes take new values as others do, whichever way their ends are written. */
static void test_links_of_domains(void **state) {
    (void)state;
    static const struct {
        const char *link;
        uint32_t num_changed;
    } cases[] = {
        {"numa:0 numa:1", 1}, {"numa:1 numa:0", 1}, {"numa* host", 2},
        {"host numa*", 2},    {"numa* numa*", 1},   {"host numa:1", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128];
        uint32_t num_changed = 0;
        clv_format(
            text, sizeof text, "core*4; numa*2 bw=100G; link %s bw=20G latency=1us duplex=half",
            cases[i].link);
        clv_machine *machine = parse(text);
        assert_int_equal(machine->num_links, 3);
        for (uint32_t k = 0; k < 3; k++) {
            const clv_link *link = &machine->links[k];
            bool is_changed = link->bandwidth == 20e9;
            num_changed += is_changed ? 1 : 0;
            assert_true(is_changed || link->bandwidth == 100e9);
            assert_true(link->latency_us == (is_changed ? 1 : 0));
            assert_int_equal(link->half_duplex, is_changed);
        }
        assert_int_equal(num_changed, cases[i].num_changed);
        clv_machine_destroy(machine);
    }
}

static void test_bespoke(void **state) {
    (void)state;
    static const char *const kinds[] = {"Conv", "Relu"};
    clv_machine *pattern = parse("bespoke:type*2{buffers=2,peak=10G,bw=10G}"), *machine = NULL;
    assert_int_equal(pattern->pattern_count, 2);
    assert_null(clv_machine_instantiate(pattern, kinds, 2, &machine));
    assert_int_equal(machine->num_units, 4);
    assert_int_equal(machine->pattern_count, 0);
    assert_string_equal(machine->units[3].name, "Relu:1");
    assert_int_equal(machine->units[3].slots, 2);
    clv_machine_destroy(pattern);
    clv_machine_destroy(machine);
    pattern = parse("bespoke:node; link * * bw=1G latency=1us");
    assert_int_equal(pattern->units[0].slots, 1);
    assert_null(clv_machine_instantiate(pattern, kinds, 2, &machine));
    assert_int_equal(machine->num_links, 1);
    clv_machine_destroy(pattern);
    clv_machine_destroy(machine);
}

static void test_json_round_trip(void **state) {
    (void)state;
    clv_machine *machine = parse(
        "host bw=70G mem=24G; core*2 peak=250G bw=40G launch=0.5us; gpu bw=2T mem=80G overlap=no; "
        "link gpu* host bw=25G latency=10us duplex=half");
    clv_machine *again = NULL;
    char *first = NULL, *second = NULL;
    assert_null(clv_machine_format_json(machine, &first));
    assert_null(clv_machine_parse_json("test", first, strlen(first), &again));
    assert_null(clv_machine_format_json(again, &second));
    assert_string_equal(first, second);
    assert_false(again->units[2].overlaps);
    assert_true(again->links[0].half_duplex);
    assert_true(again->units[0].launch_us == 0.5);
    assert_int_equal(clv_machine_home(again), again->units[0].memory);
    clv_free(first);
    clv_free(second);
    clv_machine_destroy(machine);
    clv_machine_destroy(again);
}

/* Inputs and outputs are where the file says, though no unit is there. */
static void test_home(void **state) {
    (void)state;
    static const char *const json =
        "{\"format\":\"cleave-machine-1\",\"home\":\"host\",\"memories\":[{\"name\":\"a\"},"
        "{\"name\":\"host\"}],\"units\":[{\"name\":\"a\",\"kind\":\"a\",\"memory\":\"a\"}],"
        "\"links\":[{\"name\":\"a-host\",\"from\":\"a\",\"to\":\"host\"}]}";
    clv_machine *machine = NULL, *copy = NULL, *again = NULL;
    char *text = NULL;
    assert_null(clv_machine_parse_json("test", json, strlen(json), &machine));
    assert_null(clv_machine_instantiate(machine, NULL, 0, &copy));
    assert_null(clv_machine_format_json(copy, &text));
    assert_null(clv_machine_parse_json("test", text, strlen(text), &again));
    assert_int_equal(clv_machine_home(again), 1);
    clv_free(text);
    clv_machine_destroy(machine);
    clv_machine_destroy(copy);
    clv_machine_destroy(again);
}

/* Who computes on what, also where units are made of a pattern. */
static void test_processors(void **state) {
    (void)state;
    static const char *const json =
        "{\"format\":\"cleave-machine-1\",\"memories\":[{\"name\":\"host\"}],\"processors\":["
        "{\"name\":\"left\",\"count\":1},{\"name\":\"right\",\"count\":4}],\"units\":[{\"name\":"
        "\"a\",\"kind\":\"a\",\"memory\":\"host\"},{\"name\":\"b\",\"kind\":\"b\",\"memory\":"
        "\"host\",\"processors\":\"right\",\"threads\":3}]}";
    clv_machine *machine = NULL, *copy = NULL, *again = NULL;
    char *text = NULL;
    assert_null(clv_machine_parse_json("test", json, strlen(json), &machine));
    assert_null(clv_machine_instantiate(machine, NULL, 0, &copy));
    assert_null(clv_machine_format_json(copy, &text));
    assert_null(clv_machine_parse_json("test", text, strlen(text), &again));
    assert_int_equal(again->num_processors, 2);
    assert_string_equal(again->processors[1].name, "right");
    assert_int_equal(again->processors[1].count, 4);
    assert_int_equal(again->units[0].processors, CLV_NO_INDEX);
    assert_int_equal(again->units[0].threads, 1);
    assert_int_equal(again->units[1].processors, 1);
    assert_int_equal(again->units[1].threads, 3);
    assert_true(clv_machine_processor_share(again, 0) == 0);
    assert_true(clv_machine_processor_share(again, 1) == 0.75);
    clv_free(text);
    clv_machine_destroy(machine);
    clv_machine_destroy(copy);
    clv_machine_destroy(again);
}

static void test_routes(void **state) {
    (void)state;
    clv_machine *machine = parse(
        "core; gpu*3; link gpu* host bw=10G latency=10us; link gpu:0 gpu:1 bw=100G latency=1us");
    clv_routes *routes = NULL;
    clv_path path;
    assert_null(clv_routes_create(machine, &routes));
    assert_null(clv_routes_path(
        routes, machine->units[1].memory, machine->units[2].memory, 1 << 20, &path));
    assert_int_equal(path.count, 1);
    assert_int_equal(path.hops[0] / 2, 3);
    assert_null(clv_routes_path(
        routes, machine->units[3].memory, machine->units[1].memory, 1 << 20, &path));
    assert_int_equal(path.count, 2);
    assert_int_equal(path.hops[0] / 2, 2); /* out of gpu:2 first */
    assert_int_equal(path.hops[1] / 2, 0);
    assert_null(clv_routes_path(routes, 0, 0, 1 << 20, &path));
    assert_int_equal(path.count, 0);
    clv_routes_destroy(routes);
    clv_machine_destroy(machine);
}

/* A later statement changes the links of an earlier one, however many there are: 4,950. */
static void test_many_links(void **state) {
    (void)state;
    clv_machine *machine = parse("p*100; link p* p* bw=1M; link p:3 p* bw=2M latency=5us");
    assert_int_equal(machine->num_links, 4950);
    int num_changed = 0;
    for (uint32_t i = 0; i < machine->num_links; i++) {
        const clv_link *link = &machine->links[i];
        bool is_changed =
            strstr(link->name, "p:3-") != NULL || strcmp(strchr(link->name, '-'), "-p:3") == 0;
        assert_true(link->bandwidth == (is_changed ? 2e6 : 1e6));
        num_changed += is_changed ? 1 : 0;
    }
    assert_int_equal(num_changed, 99);
    clv_machine_destroy(machine);
}

/* Three paths from a to b, each the fastest for some sizes: the direct link has the least latency,
 * that over d the most bandwidth. */
static void test_routes_by_size(void **state) {
    (void)state;
    clv_machine *machine = parse("a; b; c; d; e; link a b bw=1M latency=1us; link a c latency=1us; "
                                 "link c b bw=4M latency=9us; link a d latency=50us; link d b "
                                 "bw=100M latency=50us; link a e bw=1M latency=1us");
    clv_routes *routes = NULL;
    clv_path path;
    clv_path_line lines[CLV_MOST_PATHS];
    uint32_t a = machine->units[0].memory, b = machine->units[1].memory, count;
    assert_null(clv_routes_create(machine, &routes));
    for (double bytes = 0; bytes < 2000; bytes++) {
        double us = 0;
        assert_null(clv_routes_path(routes, a, b, bytes, &path));
        for (uint32_t i = 0; i < path.count; i++) {
            us += clv_link_time_us(&machine->links[path.hops[i] / 2], bytes);
        }
        double least_us = fmin(fmin(1 + bytes, 10 + bytes / 4), 100 + bytes / 100);
        assert_true(fabs(us - least_us) < 1e-9 * least_us);
    }
    assert_null(clv_routes_lines(routes, a, b, lines, &count));
    assert_int_equal(count, 3);
    assert_true(lines[1].latency_us == 10 && lines[1].us_per_byte == 0.25);
    /* e has the ways of a, and its own link before them */
    assert_null(clv_routes_lines(routes, machine->units[4].memory, b, lines, &count));
    assert_int_equal(count, 3);
    assert_true(lines[1].latency_us == 11 && lines[1].us_per_byte == 1.25);
    assert_null(clv_routes_lines(routes, a, machine->units[4].memory, lines, &count));
    assert_int_equal(count, 1);
    clv_routes_destroy(routes);
    clv_machine_destroy(machine);
}

/* Thirty paths from a to b, each the fastest for some sizes: as many as one keeps, each of them the
 * fastest somewhere, and none far from the best. */
static void test_many_routes_by_size(void **state) {
    (void)state;
    enum { NUM = 30 };
    clv_text text;
    clv_routes *routes = NULL;
    clv_path path;
    clv_path_line lines[CLV_MOST_PATHS];
    uint32_t count;
    clv_text_init(&text);
    clv_text_add(&text, "a; b");
    for (int i = 0; i < NUM; i++) {
        clv_text_add(
            &text, "; m%d; link a m%d latency=%dus; link m%d b bw=%dM", i, i, i * i + 1, i, i + 1);
    }
    clv_machine *machine = parse(text.data);
    const uint32_t a = machine->units[0].memory, b = machine->units[1].memory;
    assert_null(clv_routes_create(machine, &routes));
    assert_null(clv_routes_lines(routes, a, b, lines, &count));
    assert_int_equal(count, CLV_MOST_PATHS);
    for (uint32_t i = 1; i < count; i++) {
        assert_true(lines[i].latency_us > lines[i - 1].latency_us);
        assert_true(lines[i].us_per_byte < lines[i - 1].us_per_byte);
    }
    for (double bytes = 1; bytes < 1e7; bytes *= 1.5) {
        double us = 0, least_us = (double)INFINITY;
        assert_null(clv_routes_path(routes, a, b, bytes, &path));
        for (uint32_t i = 0; i < path.count; i++) {
            us += clv_link_time_us(&machine->links[path.hops[i] / 2], bytes);
        }
        for (int i = 0; i < NUM; i++) {
            least_us = fmin(least_us, i * i + 1 + bytes / (i + 1));
        }
        assert_true(us <= 1.5 * least_us);
    }
    clv_routes_destroy(routes);
    clv_machine_destroy(machine);
    clv_text_deinit(&text);
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "no units"},
        {"core*0", "column 6"},
        {"core*9999999999", "not a count"},
        {"core*2 peek=3G", "did you mean 'peak'"},
        {"core peak=", "column 11"},
        {"core peak=-3G", "no value for 'peak'"},
        {"core peak=nan", "no value for 'peak'"},
        {"core speed=0", "no value for 'speed'"},
        {"core launch=1", "column 13: '1' is no value for 'launch', which is a time such as 2us"},
        {"gpu; link gpu host latency=1.5", "column 28: '1.5' is no value for 'latency'"},
        {"gpu*2", "reached by no link"},
        {"core; link core foo", "names no unit"},
        {"core; link core core", "same memory"},
        {"node*8300; link node* node* bw=12G",
         "column 23: link: 34440850 pairs of memories, 1048576 links are the most"},
        {"core; numa*2000",
         "column 7: numa: 2001000 pairs of memories, 1048576 links are the most"},
        {"core; numa*2; numa*2", "column 15: a second memory named 'numa:0'"},
        {"node*2( core", "column 13: the end where ')' was expected"},
        {"core )", "column 6"},
        {"core $", "column 6: '$' where a parameter"},
        {"core* x", "column 7: 'x' is not a count"},
        {"core peak=  x", "column 13: 'x' is no value"},
        {"core peak 3G", "column 11: '3' where '=' was expected"},
        {"p1; p2; link p1 p3", "column 17: link: 'p3' names no unit"},
        {"p1; p2; link p3 p1", "column 14: link: 'p3' names no unit"},
        {"p1; p2; link  p1  p1", "column 19: link: both ends are the same"},
        {"p1; p1", "column 5: a second unit named 'p1'"},
        {"node*2( p1; p1 )", "column 13: a second unit named 'node:0/p1'"},
        {"p1; hub h; hub h", "column 12: a second memory named 'h'"},
        {"core; hub host", "column 7: a second memory named 'host'"},
        {"p1 peak=3G peak=4G", "column 12: 'peak' stands there twice"},
        {"p1; link p1 host bw=1 latency=2us bw=1", "column 35: 'bw' stands there twice"},
        {"\xc3\xa9; p1", "column 1: '\xc3\xa9' where"},
        {"p1 \xc3\xa9", "column 4: '\xc3\xa9' where"},
        {"p1 \xc3", "column 4: '\\xc3' where"},
        {"p1 \x01", "column 4: '\\x01' where"},
        {"p1(\xe2\x82\xac", "column 4: '\xe2\x82\xac' where"},
        {"p1; bespoke:node", "column 5: 'bespoke:node': a bespoke machine has no other units"},
        {"bespoke:node; p1", "column 15: 'p1' after a bespoke machine"},
        {"bespoke:node; link p1 *", "column 20: 'p1': links of a bespoke machine join all"},
        {"bespoke:node; link *  p1", "column 23: 'p1': links of a bespoke machine join all"},
        {"bespoke:node{bw=1,bw=2}", "column 19: 'bw' stands there twice"},
        {"bespoke:node $", "column 14: '$' was not expected"},
        {"bespoke:kind", "bespoke:type"},
        {" bespoke", "column 2: 'bespoke': a bespoke machine is 'bespoke:type' or 'bespoke:node'"},
        {"bespoke{buffers=2}", "column 1: 'bespoke': a bespoke machine is 'bespoke:type'"},
        {"p1; bespoke*2", "column 5: 'bespoke': a bespoke machine is 'bespoke:type'"},
        {"bespoke:type{buffers=0}", "no value for 'buffers'"},
        {"bespoke:type{buffers=1", "column 23: the end where '}' was expected"},
        {"a*60000( core*60000 )", "more than"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clv_machine *machine = NULL;
        clv_status *status = clv_machine_parse_text(cases[i].text, &machine);
        assert_non_null(status);
        assert_null(machine);
        assert_int_equal(clv_status_code(status), CLV_MALFORMED);
        if (strstr(clv_status_message(status), cases[i].message) == NULL) {
            fail_msg("'%s' gives '%s'", cases[i].text, clv_status_message(status));
        }
        clv_status_destroy(status);
    }
}

static void test_bad_json(void **state) {
    (void)state;
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"[]", "must be a JSON object"},
        {"{\"format\":\"x\"}", "format is 'x'"},
        {"{\"format\":\"cleave-machine-1\",\"memories\":[]}", "units"},
        {"{\"format\":\"cleave-machine-1\",\"memories\":[{\"name\":\"host\"}],\"units\":[{\"name\":"
         "\"a\",\"kind\":\"a\",\"memory\":\"hosd\"}]}",
         "no memory 'hosd'"},
        {"{\"format\":\"cleave-machine-1\",\"home\":\"hosd\",\"memories\":[{\"name\":\"host\"}],"
         "\"units\":[{\"name\":\"a\",\"kind\":\"a\",\"memory\":\"host\"}]}",
         "no memory 'hosd'"},
        {"{\"format\":\"cleave-machine-1\",\"home\":\"host\",\"memories\":[{\"name\":\"host\"},"
         "{\"name\":\"a\"}],\"units\":[{\"name\":\"a\",\"kind\":\"a\",\"memory\":\"a\"}]}",
         "'a' is reached by no link from 'host'"},
        {"{\"format\":\"cleave-machine-1\",\"memories\":[{\"name\":\"host\",\"bandwidth\":0}],"
         "\"units\":[{\"name\":\"a\",\"kind\":\"a\",\"memory\":\"host\"}]}",
         "bandwidth is 0"},
        {"{\"format\":\"cleave-machine-1\",\"memories\":[{\"name\":\"host\"}],\"units\":[{\"name\":"
         "\"a\",\"kind\":\"a\",\"memory\":\"host\",\"speed\":-1}]}",
         "speed"},
        {"{\"format\":\"cleave-machine-1\",\"memories\":[{\"name\":\"host\"}],\"units\":[{\"name\":"
         "\"a\",\"kind\":\"a\",\"memory\":\"host\",\"peak_flops\":\"inf\"}]}",
         "'peak_flops' is a string, a number is needed"},
        {"{\"format\":\"cleave-machine-1\",\"memories\":[{\"name\":\"host\"}],\"units\":[{\"name\":"
         "\"a\",\"kind\":\"a\",\"memory\":\"host\",\"launch_us\":1e999}]}",
         "launch_us"},
        {"{\"format\":\"cleave-machine-1\",\"memories\":[{\"name\":\"host\"}],\"units\":[{\"name\":"
         "\"a\",\"kind\":\"a\",\"memory\":\"host\"},{\"name\":\"a\",\"kind\":\"a\",\"memory\":"
         "\"host\"}]}",
         "a second unit named 'a'"},
#define PATTERN(bespoke, more)                                                              \
    "{\"format\":\"cleave-machine-1\",\"bespoke\":\"" bespoke                               \
    "\",\"pattern_count\":3,\"memories\":[{\"name\":\"host\"}],\"units\":[{\"name\":\"a\"," \
    "\"kind\":\"a\",\"memory\":\"host\"}" more "]}"
        {PATTERN("no", ""), "pattern_count is 3, bespoke must be type or node"},
        {PATTERN("type", ",{\"name\":\"b\",\"kind\":\"b\",\"memory\":\"host\"}"),
         "pattern_count is 3, which is of one unit, here are 2"},
        {PATTERN("node", ",{\"name\":\"b\",\"kind\":\"b\",\"memory\":\"host\"}"),
         "pattern_count is 3, which is of one unit, here are 2"},
#undef PATTERN
#define ON(processors, unit)                                                              \
    "{\"format\":\"cleave-machine-1\",\"memories\":[{\"name\":\"host\"}],\"processors\":" \
    "[" processors "],\"units\":[{\"name\":\"a\",\"kind\":\"a\",\"memory\":\"host\"" unit "}]}"
        {ON("{\"name\":\"p\",\"count\":2}", ",\"processors\":\"q\""), "no group of processors 'q'"},
        {ON("{\"name\":\"p\",\"count\":2}", ",\"processors\":\"p\",\"threads\":3"),
         "threads is 3, processors 'p' are 2"},
        {ON("{\"name\":\"p\",\"count\":2}", ",\"threads\":0"), "threads"},
        {ON("{\"name\":\"p\",\"count\":0}", ""), "count"},
        {ON("{\"name\":\"p\",\"count\":1.5}", ""), "count"},
        {ON("{\"name\":\"p\"}", ""), "count"},
        {ON("{\"name\":\"p\",\"count\":1},{\"name\":\"p\",\"count\":1}", ""),
         "a second group of processors named 'p'"},
#undef ON
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        clv_machine *machine = NULL;
        clv_status *status =
            clv_machine_parse_json("m.json", cases[i].json, strlen(cases[i].json), &machine);
        assert_non_null(status);
        assert_int_equal(clv_status_code(status), CLV_MALFORMED);
        if (strstr(clv_status_message(status), cases[i].message) == NULL) {
            fail_msg("'%s' gives '%s'", cases[i].json, clv_status_message(status));
        }
        clv_status_destroy(status);
    }
}

static void test_no_memory(void **state) {
    (void)state;
    for (int64_t n = 0;; n++) {
        clv_machine *machine = NULL;
        clv_memory_fail_at(n);
        clv_status *status = clv_machine_parse_text(
            "node*2( core*3; numa*2 bw=1G ); gpu; link gpu host bw=1G; link node* host", &machine);
        clv_memory_fail_at(-1);
        if (status == NULL) {
            clv_machine_destroy(machine);
            assert_true(n > 10);
            return;
        }
        assert_int_equal(clv_status_code(status), CLV_NO_MEMORY);
        clv_status_destroy(status);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cores_and_gpus),
        cmocka_unit_test(test_nested_nodes),
        cmocka_unit_test(test_many_links),
        cmocka_unit_test(test_words_as_kinds),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_pattern_that_nearly_matches),
        cmocka_unit_test(test_units_of_domains),
        cmocka_unit_test(test_links_of_domains),
        cmocka_unit_test(test_bespoke),
        cmocka_unit_test(test_json_round_trip),
        cmocka_unit_test(test_home),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_routes_by_size),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_many_routes_by_size),
        cmocka_unit_test(test_bad_json),
        cmocka_unit_test(test_processors),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
