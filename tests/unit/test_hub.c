/* SPDX-License-Identifier: MIT
 * hub: local paths win, ids are found in the cache as Hugging Face's tools lay it out, and what is
 * malformed or missing is told apart. No name leads out of the cache. */
#include "model_files.h"

#include "hub/hub.h"

static const char commit[] = "0123456789abcdef0123456789abcdef01234567";

static const char *snapshot(const char *repo, const char *file) {
    static char paths[4][256];
    static int next;
    char *out = paths[next++ % 4];
    (void)snprintf(out, sizeof paths[0], "hub/%s/snapshots/%s%s", repo, commit, file);
    return out;
}

static void make_dir(const char *name) {
    if (mkdir(at(name), 0700) != 0)
        fail_msg("mkdir %s", name);
}

/* hub/<repo> with refs/main, one blob and its links. */
static void make_repo(const char *repo) {
    char name[256];
    static const char *const parts[] = {"",       "/refs",     "/refs/refs", "/refs/refs/pr",
                                        "/blobs", "/snapshots"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        (void)snprintf(name, sizeof name, "hub/%s%s", repo, parts[i]);
        make_dir(name);
    }
    (void)snprintf(name, sizeof name, "hub/%s/refs/main", repo);
    put_text(name, commit);
    (void)snprintf(name, sizeof name, "hub/%s/refs/refs/pr/1", repo);
    put(name, "0123456789abcdef0123456789abcdef01234567\n", 41);
    (void)snprintf(name, sizeof name, "hub/%s/blobs/aa", repo);
    put_text(name, "{}");
    make_dir(snapshot(repo, ""));
    assert_int_equal(symlink("../../blobs/aa", at(snapshot(repo, "/config.json"))), 0);
    assert_int_equal(symlink("../../blobs/aa", at(snapshot(repo, "/model.safetensors"))), 0);
}

static int make_cache(void **state) {
    if (make_scratch(state) != 0)
        return -1;
    make_dir("hub");
    make_repo("models--org--name");
    make_repo("models--gpt2");
    return 0;
}

static ib_status resolve(ib_hub_result *r, const char *model, const char *revision,
                         const ib_hub_env *env, ib_error *err) {
    ib_error_clear(err);
    return ib_hub_resolve(r, model, revision, NULL, env, NULL, err);
}

static void expect_found(const char *model, const char *revision, const ib_hub_env *env,
                         const char *path, const char *id) {
    ib_hub_result r;
    ib_error err;
    if (resolve(&r, model, revision, env, &err) != IB_OK)
        fail_msg("%s: %s", model, err.text);
    assert_string_equal(r.path, path);
    if (id) {
        assert_string_equal(r.repo_id, id);
        assert_string_equal(r.revision, commit);
    } else {
        assert_true(!r.repo_id && !r.revision);
    }
    ib_hub_result_clear(&r);
    ib_hub_result_clear(&r); /* harmless */
}

static void expect_not_found(const char *model, const char *revision, const ib_hub_env *env,
                             ib_status status, const char *words) {
    ib_hub_result r;
    ib_error err;
    ib_status st = resolve(&r, model, revision, env, &err);
    expect_error(model, st, &err, status, words);
    assert_true(!r.path && !r.repo_id && !r.revision);
}

static void ids_are_found_in_the_cache(void **state) {
    (void)state;
    char home[80], name[256], short_name[256];
    (void)snprintf(home, sizeof home, "%s/hub", scratch);
    (void)snprintf(name, sizeof name, "%s", at(snapshot("models--org--name", "")));
    (void)snprintf(short_name, sizeof short_name, "%s", at(snapshot("models--gpt2", "")));
    const ib_hub_env direct = {.hf_hub_cache = home, .offline = true};
    const ib_hub_env legacy = {.huggingface_hub_cache = home, .offline = true};
    const ib_hub_env hf_home = {.hf_home = scratch, .home = "/nonexistent", .offline = true};
    const ib_hub_env empty = {.hf_hub_cache = "", .hf_home = scratch, .offline = true};
    const ib_hub_env tilde = {.hf_hub_cache = "~/hub", .home = scratch, .offline = true};
    const ib_hub_env first = {.hf_hub_cache = home, .hf_home = "/nonexistent", .offline = true};
    const ib_hub_env *all[] = {&direct, &legacy, &hf_home, &empty, &tilde, &first};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        expect_found("org/name", NULL, all[i], name, "org/name");
        expect_found("gpt2", "main", all[i], short_name, "gpt2");
        expect_found("org/name", commit, all[i], name, "org/name");
        expect_found("org/name", "refs/pr/1", all[i], name, "org/name");
    }
    ib_hub_result r;
    ib_error err;
    const ib_hub_env none = {.offline = true};
    assert_int_equal(ib_hub_resolve(&r, "gpt2", NULL, home, &none, NULL, &err), IB_OK);
    assert_string_equal(r.path, short_name);
    ib_hub_result_clear(&r);
    expect_not_found("gpt2", NULL, &none, IB_E_INPUT, "no Hugging Face cache folder");
}

static void default_folders(void **state) {
    (void)state;
    make_dir("x");
    make_dir("x/huggingface");
    make_dir("x/.cache");
    assert_int_equal(symlink(scratch, at("x/.cache/huggingface")), 0);
    assert_int_equal(symlink("../../hub", at("x/huggingface/hub")), 0);
    char base[80], path[256];
    (void)snprintf(base, sizeof base, "%s/x", scratch);
    const ib_hub_env xdg = {.xdg_cache_home = base, .home = "/nonexistent", .offline = true};
    const ib_hub_env home = {.home = base, .offline = true};
    (void)snprintf(path, sizeof path, "%s/huggingface/hub/models--gpt2/snapshots/%s", base, commit);
    expect_found("gpt2", NULL, &xdg, path, "gpt2");
    (void)snprintf(path, sizeof path, "%s/.cache/huggingface/hub/models--gpt2/snapshots/%s", base,
                   commit);
    expect_found("gpt2", NULL, &home, path, "gpt2");
}

static void local_paths_win(void **state) {
    (void)state;
    const ib_hub_env env = {.hf_home = scratch, .offline = true};
    char here[256];
    assert_non_null(getcwd(here, sizeof here));
    put_text("m.gguf", "GGUF");
    make_dir("gpt2");
    assert_int_equal(chdir(scratch), 0);
    expect_found("m.gguf", NULL, &env, "m.gguf", NULL);
    /* a folder without config.json does not hide a cached model of the same name */
    expect_found("gpt2", NULL, &env, at(snapshot("models--gpt2", "")), "gpt2");
    put_text("gpt2/config.json", "{}");
    expect_found("gpt2", NULL, &env, "gpt2", NULL);
    expect_found("./gpt2", NULL, &env, "./gpt2", NULL);
    make_dir("bare");
    expect_found("bare", NULL, &env, "bare", NULL);
    put_text("notes.txt", "x");
    expect_not_found("notes.txt", NULL, &env, IB_E_USAGE, "is a file but not a .gguf file");
    expect_not_found("none.gguf", NULL, &env, IB_E_INPUT, "'none.gguf' does not exist");
    expect_not_found("./none", NULL, &env, IB_E_INPUT, "'./none' does not exist");
    expect_not_found("/none/none", NULL, &env, IB_E_INPUT, "does not exist");
    assert_int_equal(chdir(here), 0);
}

static void malformed_names_are_usage_errors(void **state) {
    (void)state;
    static const char *const ids[] = {"a/b/c",       "a//b", "a/",   "a..b",   "a--b",   "-a",
                                      "a-",          "a/b.", "a b",  "a\nb",   "a/../b", "a%2e",
                                      "caf\xC3\xA9", "a:b",  "a\\b", "org/-x", "~root"};
    static const char *const revisions[] = {"../main", "a/../b", "/etc", "a//b", "a/",
                                            ".hidden", "a b",    "a\nb", "x/.y", "a..b"};
    const ib_hub_env env = {.hf_home = scratch, .offline = true};
    char long_id[300];
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        expect_not_found(ids[i], NULL, &env, IB_E_USAGE, "nor a model id");
    for (size_t i = 0; i < sizeof revisions / sizeof revisions[0]; i++)
        expect_not_found("org/name", revisions[i], &env, IB_E_USAGE, "malformed revision");
    memset(long_id, 'x', sizeof long_id);
    long_id[97] = '\0';
    expect_not_found(long_id, NULL, &env, IB_E_USAGE, "nor a model id");
    long_id[96] = '\0';
    expect_not_found(long_id, NULL, &env, IB_E_INPUT, "is not in the cache");
    expect_not_found("", NULL, &env, IB_E_USAGE, "empty");
}

static void missing_parts_are_named(void **state) {
    (void)state;
    const ib_hub_env env = {.hf_home = scratch, .offline = true};
    expect_not_found("org/other", NULL, &env, IB_E_INPUT,
                     "no folder for this model|offline mode is on|inferbench download");
    expect_not_found("org/name", "v2", &env, IB_E_INPUT, "'v2'|no such entry in refs/");
    expect_not_found("org/name", "ffffffffffffffffffffffffffffffffffffffff", &env, IB_E_INPUT,
                     "snapshot folder is missing");
    make_repo("models--broken");
    put_text("hub/models--broken/refs/odd", "not a commit");
    expect_not_found("broken", "odd", &env, IB_E_FORMAT, "does not hold a commit");
    put_text("hub/models--broken/refs/up", "../../../../../etc/aaaaaaaaaaaaaaaaaaaaaa");
    expect_not_found("broken", "up", &env, IB_E_FORMAT, "does not hold a commit");
    assert_int_equal(unlink(at(snapshot("models--broken", "/model.safetensors"))), 0);
    assert_int_equal(
        symlink("../../blobs/bb", at(snapshot("models--broken", "/model.safetensors"))),
        0); /* its blob never arrived */
    expect_not_found("broken", NULL, &env, IB_E_INPUT, "weights are missing|interrupted");
    assert_int_equal(unlink(at(snapshot("models--broken", "/config.json"))), 0);
    expect_not_found("broken", NULL, &env, IB_E_INPUT, "config.json is missing|interrupted");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_found_in_the_cache),
        cmocka_unit_test(default_folders),
        cmocka_unit_test(local_paths_win),
        cmocka_unit_test(malformed_names_are_usage_errors),
        cmocka_unit_test(missing_parts_are_named),
    };
    return cmocka_run_group_tests_name("hub", tests, make_cache, remove_scratch);
}
