/* kafka-server-stop: signals every broker of this machine, or the one asked for. (cli.md, section 21)
 *
 * A broker is found by what it executes: /proc/PID/exe ends in kafka-server-start. It does not wait for the end. */
#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "tools/options.h"
#include "tools/property_list.h"
#include "tools/tool.h"

#define BROKER_NAME "kafka-server-start"
#define GUARD_NAME "session-guard" /* a broker's second process, which ends with it */

static const struct option_spec specs[] = {
    {"help", OPTION_FLAG, NULL, "Show this."},
    {"node-id", OPTION_REQUIRED, "Integer: node id", "Stop only the broker with this id."},
    {"process-role", OPTION_REQUIRED, "String: role", "broker; the only role there is."},
    {"version", OPTION_FLAG, NULL, "Show the version."},
};

static const struct {
    const char *name;
    int number;
} signals[] = {{"TERM", SIGTERM}, {"INT", SIGINT}, {"KILL", SIGKILL}, {"HUP", SIGHUP}, {"QUIT", SIGQUIT}};

/* The signal of the environment's SIGNAL, with or without SIG, or a number; 0 for none of these. */
static int chosen_signal(void) {
    const char *text = getenv("SIGNAL");
    if (text == NULL || *text == '\0') {
        return SIGTERM;
    }
    const char *name = strncmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        if (strcmp(name, signals[i].name) == 0) {
            return signals[i].number;
        }
    }
    int32_t number;
    return parse_int32(text, &number) == 0 && number > 0 && number < NSIG ? number : 0;
}

static bool is_guard(const char *pid) {
    char *path = xasprintf("/proc/%s/comm", pid);
    size_t size = 0;
    char *name = file_read_all(path, &size);
    bool is = name != NULL && strncmp(name, GUARD_NAME "\n", sizeof GUARD_NAME) == 0;
    free(name);
    free(path);
    return is;
}

static bool is_broker(const char *pid) {
    char *path = xasprintf("/proc/%s/exe", pid);
    char target[4096];
    ssize_t size = readlink(path, target, sizeof target - 1);
    free(path);
    if (size <= 0) {
        return false;
    }
    target[size] = '\0';
    static const char deleted[] = " (deleted)"; /* an upgrade replaced the file under the running broker */
    size_t cut = sizeof deleted - 1;
    if ((size_t)size > cut && strcmp(target + size - cut, deleted) == 0) {
        target[(size_t)size - cut] = '\0';
    }
    const char *slash = strrchr(target, '/');
    return strcmp(slash == NULL ? target : slash + 1, BROKER_NAME) == 0 && !is_guard(pid);
}

/* Opens the process's file; a relative path is relative to where the process runs. */
static void load_process_file(const char *pid, const char *name, struct property_list *ret) {
    char *path = name[0] == '/' ? xstrdup(name) : xasprintf("/proc/%s/cwd/%s", pid, name);
    property_list_load(ret, path);
    free(path);
}

/* The id of a broker, from its --override words or its properties file; -1 when neither says. */
static int32_t broker_id(const char *pid) {
    char *path = xasprintf("/proc/%s/cmdline", pid);
    size_t size = 0;
    char *words = file_read_all(path, &size);
    free(path);
    struct property_list properties = {0};
    struct property_list overrides = {0};
    const char *previous = "";
    bool is_program = true;
    for (size_t at = 0; words != NULL && at < size; at += strlen(words + at) + 1) {
        const char *word = words + at;
        if (strcmp(previous, "--override") == 0) {
            property_list_set_pair(&overrides, word);
        } else if (!is_program && word[0] != '-') {
            load_process_file(pid, word, &properties);
        }
        previous = word;
        is_program = false;
    }
    const char *keys[] = {"broker.id", "node.id"};
    int32_t id = -1;
    for (size_t i = 0; i < ARRAY_SIZE(keys) && id < 0; i++) {
        const char *text = property_list_get(&overrides, keys[i]);
        text = text != NULL ? text : property_list_get(&properties, keys[i]);
        if (text != NULL && parse_int32(text, &id) != 0) {
            id = -1;
        }
    }
    property_list_deinit(&properties);
    property_list_deinit(&overrides);
    free(words);
    return id;
}

/* Signals the brokers; how many were there. */
static int stop_brokers(int signal_number, bool by_id, int32_t id) {
    DIR *processes = opendir("/proc");
    int count = 0;
    if (processes == NULL) {
        return 0;
    }
    for (struct dirent *entry = readdir(processes); entry != NULL; entry = readdir(processes)) {
        int32_t pid;
        if (!isdigit((unsigned char)entry->d_name[0]) || parse_int32(entry->d_name, &pid) != 0 ||
            !is_broker(entry->d_name) || (by_id && broker_id(entry->d_name) != id)) {
            continue;
        }
        count++;
        if (kill(pid, signal_number) != 0) {
            fprintf(stderr, "Process %d cannot be signalled: %m\n", pid);
        }
    }
    closedir(processes);
    return count;
}

int tool_server_stop(int argc, char **argv) {
    struct options options;
    struct failure failure = {0};
    int32_t id = -1;
    int status = -1;
    int error = options_parse(&options, specs, ARRAY_SIZE(specs), argc, argv, &failure);
    error = error != 0 ? error : options_int(&options, "node-id", -1, &id, &failure);
    if (error == 0) {
        status = options_help(&options, argc, false, "Stops the brokers of this machine.");
    }
    int signal_number = chosen_signal();
    if (error == 0 && status < 0 && signal_number == 0) {
        fprintf(stderr, "SIGNAL=%s is not a signal\n", getenv("SIGNAL"));
        status = 1;
    }
    if (error == 0 && status < 0) {
        status = 0;
        if (stop_brokers(signal_number, options_has(&options, "node-id"), id) == 0) {
            printf("No kafka server to stop\n");
            status = 1;
        }
    }
    if (error != 0) {
        fprintf(stderr, "%s\n", failure.text);
        status = 1;
    }
    failure_clear(&failure);
    options_deinit(&options);
    return status;
}
