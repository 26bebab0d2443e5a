#include "host/base/cancel.h"
#include "host/base/file.h"
#include "host/base/memory.h"
#include "tests/support/check.h"
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/cleave_file_test_XXXXXX";

/* FOLDER/NAME in one of a few static buffers. */
static const char *at(const char *name) {
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int count_files(const char *path) {
    DIR *handle = opendir(path);
    assert_non_null(handle);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(handle)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(handle);
    return count;
}

static void assert_content(const char *path, const char *expected) {
    clv_mapped_file file;
    assert_ok(clv_file_map(path, &file));
    assert_int_equal(file.bytes, strlen(expected));
    assert_memory_equal(file.data, expected, file.bytes);
    clv_file_unmap(&file);
}

static void a_file_is_mapped(void **state) {
    (void)state;
    assert_ok(clv_file_replace(at("plain"), "hello", 5));
    clv_mapped_file file;
    assert_ok(clv_file_map(at("plain"), &file));
    assert_false(file.is_copy);
    clv_file_drop_pages(&file);
    assert_memory_equal(file.data, "hello", 5); /* read again from the file */
    clv_file_unmap(&file);
    assert_null(file.data);
    clv_file_unmap(&file);
}

static void an_empty_file_has_no_data(void **state) {
    (void)state;
    assert_ok(clv_file_replace(at("empty"), NULL, 0));
    clv_mapped_file file;
    assert_ok(clv_file_map(at("empty"), &file));
    assert_null(file.data);
    assert_int_equal(file.bytes, 0);
    clv_file_drop_pages(&file);
    clv_file_unmap(&file);
}

static void what_cannot_be_read_is_named(void **state) {
    (void)state;
    clv_mapped_file file;
    assert_failed(IO, "missing': No such file", clv_file_map(at("missing"), &file));
    assert_failed(IO, "it is a folder", clv_file_map(folder, &file));
    assert_failed(IO, "cannot open ''", clv_file_map("", &file));
    assert_null(file.data);
}

static void *write_pipe(void *path) {
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 50000; i++) {
        fprintf(file, "%06d\n", i);
    }
    fclose(file);
    return NULL;
}

static void a_pipe_is_read_into_memory(void **state) {
    (void)state;
    const char *path = at("pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_pipe, (void *)path), 0);
    clv_mapped_file file;
    assert_ok(clv_file_map(path, &file));
    pthread_join(writer, NULL);
    assert_true(file.is_copy);
    assert_int_equal(file.bytes, 350000);
    assert_memory_equal(file.data + 7 * 49999, "049999\n", 7);
    clv_file_drop_pages(&file);
    clv_file_unmap(&file);
    unlink(path);
}

/* A pipe whose other end nobody opens: who has had enough need not send a signal to the very call.
 * What a cache keeps is no pipe. */
static void waiting_for_a_pipe_ends(void **state) {
    (void)state;
    const char *path = at("silent");
    clv_mapped_file file;
    assert_int_equal(mkfifo(path, 0600), 0);
    alarm(60);
    assert_failed(IO, "not a regular file", clv_file_map_regular(path, &file));
    assert_failed(IO, "not a regular file", clv_file_replace_regular(path, "x", 1));
    assert_failed(IO, "cannot write", clv_file_append(path, "x", 1));
    clv_cancel_set(true);
    clv_status *status = clv_file_map(path, &file);
    assert_failed(CANCELLED, "interrupted", status);
    status = clv_file_replace(path, "x", 1);
    clv_cancel_set(false);
    assert_failed(CANCELLED, "interrupted", status);
    alarm(0);
    unlink(path);
}

/* What is refused for what it is, is not opened: that alone would wake who waits to write to it. */
static void what_is_refused_is_not_opened(void **state) {
    (void)state;
    const char *path = at("refused");
    clv_mapped_file file;
    char event[sizeof(struct inotify_event) + 256];
    assert_int_equal(mkfifo(path, 0600), 0);
    const int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    assert_true(watch >= 0);
    assert_true(inotify_add_watch(watch, path, IN_OPEN) >= 0);
    assert_failed(IO, "not a regular file", clv_file_map_regular(path, &file));
    assert_failed(IO, "not a regular file", clv_file_replace_regular(path, "x", 1));
    assert_int_equal(read(watch, event, sizeof event), -1); /* nobody did */
    close(watch);
    unlink(path);
}

static void *read_pipe(void *path) {
    FILE *file = fopen(path, "r");
    size_t count = 0;
    while (fgetc(file) != EOF) {
        count++;
    }
    fclose(file);
    return (void *)count;
}

static void a_pipe_is_written_to(void **state) {
    (void)state;
    const char *path = at("pipe");
    static char data[300000]; /* more than a pipe holds */
    void *count;
    pthread_t reader;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(pthread_create(&reader, NULL, read_pipe, (void *)path), 0);
    assert_ok(clv_file_replace(path, data, sizeof data));
    pthread_join(reader, &count);
    assert_int_equal((size_t)count, sizeof data);
    unlink(path);
}

static void replacing_keeps_what_is_there_until_the_end(void **state) {
    (void)state;
    assert_ok(clv_file_replace(at("kept"), "old content", 11));
    clv_mapped_file before;
    assert_ok(clv_file_map(at("kept"), &before));
    assert_ok(clv_file_replace(at("kept"), "new", 3));
    assert_memory_equal(before.data, "old content", 11); /* a reader still sees the old file */
    clv_file_unmap(&before);
    assert_content(at("kept"), "new");
}

/* A full disk: a write past the file size limit fails like one. */
static void a_failed_write_leaves_the_old_file(void **state) {
    (void)state;
    assert_ok(clv_file_replace(at("kept"), "old", 3));
    int files = count_files(folder);
    static char large[100000];
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 4096;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    clv_status *status = clv_file_replace(at("kept"), large, sizeof large);
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, handler);
    assert_failed(IO, "kept': File too large", status);
    assert_content(at("kept"), "old");
    assert_int_equal(count_files(folder), files); /* nothing left behind */
}

static void mode_and_links_survive(void **state) {
    (void)state;
    assert_ok(clv_file_replace(at("target"), "1", 1));
    assert_int_equal(chmod(at("target"), 0640), 0);
    assert_int_equal(symlink("target", at("link")), 0);
    assert_ok(clv_file_replace(at("link"), "2", 1));
    struct stat info;
    assert_int_equal(lstat(at("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_int_equal(stat(at("target"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0640);
    assert_content(at("target"), "2");
}

static void devices_are_written_in_place(void **state) {
    (void)state;
    assert_ok(clv_file_replace("/dev/null", "x", 1));
    struct stat info;
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
    assert_failed(IO, "'/dev/full': No space left", clv_file_replace("/dev/full", "x", 1));
}

static void what_cannot_be_written_is_named(void **state) {
    (void)state;
    assert_failed(IO, "cannot write", clv_file_replace(at("no/such/folder"), "x", 1));
    assert_failed(IO, "it is a folder", clv_file_replace(folder, "x", 1));
    assert_failed(IO, "plain/below'", clv_file_replace(at("plain/below"), "x", 1));
}

enum { NUM_WRITERS = 4, NUM_WRITES = 200 };

static void *replace_many(void *letter) {
    char data[2000], path[512];
    snprintf(path, sizeof path, "%s/shared", folder);
    memset(data, *(const char *)letter, sizeof data);
    for (int i = 0; i < NUM_WRITES; i++) {
        clv_status *status = clv_file_replace(path, data, sizeof data);
        if (status != NULL) {
            return status;
        }
    }
    return NULL;
}

static void readers_never_see_half(void **state) {
    (void)state;
    char first[2000];
    memset(first, 'a', sizeof first);
    assert_ok(clv_file_replace(at("shared"), first, sizeof first));
    pthread_t writers[NUM_WRITERS];
    static const char letters[NUM_WRITERS + 1] = "bcde";
    for (int i = 0; i < NUM_WRITERS; i++) {
        assert_int_equal(pthread_create(&writers[i], NULL, replace_many, (void *)&letters[i]), 0);
    }
    char path[512];
    snprintf(path, sizeof path, "%s/shared", folder);
    for (int i = 0; i < 500; i++) {
        clv_mapped_file file;
        assert_ok(clv_file_map(path, &file));
        assert_int_equal(file.bytes, 2000);
        for (size_t j = 1; j < file.bytes; j++) {
            assert_int_equal(file.data[j], file.data[0]);
        }
        clv_file_unmap(&file);
    }
    for (int i = 0; i < NUM_WRITERS; i++) {
        void *status;
        pthread_join(writers[i], &status);
        assert_ok(status);
    }
}

static void folders_are_made_with_parents(void **state) {
    (void)state;
    struct stat info;
    assert_ok(clv_folder_create(at("a/b//c/")));
    assert_int_equal(stat(at("a/b/c"), &info), 0);
    assert_true(S_ISDIR(info.st_mode));
    assert_ok(clv_folder_create(at("a/b/c")));
    assert_failed(IO, "plain'", clv_folder_create(at("plain/x")));
    assert_failed(IO, "plain': File exists", clv_folder_create(at("plain")));
    assert_failed(IO, "''", clv_folder_create(""));
}

static void check_cache_folder(const char *own, const char *xdg, const char *home, const char *to) {
    own != NULL ? setenv("CLEAVE_CACHE_DIR", own, 1) : unsetenv("CLEAVE_CACHE_DIR");
    xdg != NULL ? setenv("XDG_CACHE_HOME", xdg, 1) : unsetenv("XDG_CACHE_HOME");
    home != NULL ? setenv("HOME", home, 1) : unsetenv("HOME");
    char *path = clv_cache_folder_copy();
    if (to == NULL) {
        assert_null(path);
    } else {
        assert_non_null(path);
        assert_string_equal(path, to);
    }
    clv_free(path);
}

static void the_cache_folder_follows_the_environment(void **state) {
    (void)state;
    check_cache_folder("/own", "/xdg", "/h/me", "/own");
    check_cache_folder("", "/xdg", "/h/me", "/xdg/cleave");
    check_cache_folder(NULL, "relative", "/h/me", "/h/me/.cache/cleave");
    check_cache_folder(NULL, NULL, "/h/me", "/h/me/.cache/cleave");
    check_cache_folder(NULL, NULL, NULL, NULL);
    check_cache_folder(NULL, NULL, "", NULL);
}

static void check_beside(const char *path, const char *name, const char *expected) {
    char *result = clv_path_beside_copy(path, name);
    assert_string_equal(result, expected);
    clv_free(result);
}

static void paths_beside(void **state) {
    (void)state;
    check_beside("model.onnx", "weights.bin", "weights.bin");
    check_beside("/a/b/model.onnx", "w/x.bin", "/a/b/w/x.bin");
    check_beside("/model.onnx", "w", "/w");
    check_beside("a/", "w", "a/w");
}

static void lack_of_memory_is_reported(void **state) {
    (void)state;
    for (int64_t n = 0; n < 2; n++) {
        clv_memory_fail_at(n);
        clv_status *status = clv_file_replace(at("memory"), "x", 1);
        clv_memory_fail_at(-1);
        assert_failed(NO_MEMORY, "out of host memory", status);
    }
    clv_memory_fail_at(0);
    clv_status *status = clv_folder_create(at("memory/x"));
    clv_memory_fail_at(-1);
    assert_failed(NO_MEMORY, "out of host memory", status);
    clv_memory_fail_at(0);
    assert_null(clv_path_beside_copy("a/b", "c"));
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state) {
    (void)state;
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void files_grow_at_their_end(void **state) {
    (void)state;
    assert_ok(clv_file_append(at("grows"), "one", 3));
    assert_ok(clv_file_append(at("grows"), " two", 4));
    assert_content(at("grows"), "one two");
    assert_failed(IO, "cannot write", clv_file_append(folder, "x", 1));
    assert_failed(IO, "missing/file': No such", clv_file_append(at("missing/file"), "x", 1));
}

/* A lock is held against this process too; who waits for one that is not given back is told. */
static void locks_exclude_each_other(void **state) {
    (void)state;
    int lock, other;
    assert_ok(clv_file_lock(at("lock"), &lock));
    assert_failed(IO, "cannot lock", clv_file_lock(at("lock"), &other));
    assert_int_equal(other, -1);
    clv_file_unlock(other);
    clv_file_unlock(lock);
    assert_ok(clv_file_lock(at("lock"), &lock));
    clv_file_unlock(lock);
    assert_failed(IO, "missing/lock': No such", clv_file_lock(at("missing/lock"), &lock));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_mapped),
        cmocka_unit_test(an_empty_file_has_no_data),
        cmocka_unit_test(what_cannot_be_read_is_named),
        cmocka_unit_test(a_pipe_is_read_into_memory),
        cmocka_unit_test(waiting_for_a_pipe_ends),
        cmocka_unit_test(what_is_refused_is_not_opened),
        cmocka_unit_test(a_pipe_is_written_to),
        cmocka_unit_test(replacing_keeps_what_is_there_until_the_end),
        cmocka_unit_test(a_failed_write_leaves_the_old_file),
        cmocka_unit_test(mode_and_links_survive),
        cmocka_unit_test(devices_are_written_in_place),
        cmocka_unit_test(what_cannot_be_written_is_named),
        cmocka_unit_test(readers_never_see_half),
        cmocka_unit_test(files_grow_at_their_end),
        cmocka_unit_test(locks_exclude_each_other),
        cmocka_unit_test(folders_are_made_with_parents),
        cmocka_unit_test(the_cache_folder_follows_the_environment),
        cmocka_unit_test(paths_beside),
        cmocka_unit_test(lack_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
