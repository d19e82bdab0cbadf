/* listeners, advertised.listeners and the names they have: from text to lists, with Kafka's refusals. */
#include <ctype.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "broker/base/check.h"
#include "broker/base/errors.h"
#include "broker/config.h"

static int refuse(char **ret_message, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(char **ret_message, const char *format, ...) {
    va_list args;
    va_start(args, format);
    if (vasprintf(ret_message, format, args) < 0) {
        *ret_message = xstrdup("out of memory");
    }
    va_end(args);
    return ERR_INVALID;
}

static const char *keep_upper(struct config *config, const char *text, size_t size) {
    char *upper = xstrndup(text, size);
    for (char *c = upper; *c != '\0'; c++) {
        *c = (char)toupper((unsigned char)*c);
    }
    const char *kept = config_keep(config, upper);
    free(upper);
    return kept;
}

/* NAME://host:port, the host bare, empty, or an IPv6 address in brackets. */
static bool parse_listener(struct config *config, const char *text, struct config_listener *ret) {
    const char *host = strstr(text, "://");
    if (host == NULL || host == text) {
        return false;
    }
    ret->name = keep_upper(config, text, (size_t)(host - text));
    host += 3;
    const char *colon = strrchr(host, ':');
    if (colon == NULL) {
        return false;
    }
    size_t host_size = (size_t)(colon - host);
    if (host_size >= 2 && host[0] == '[' && colon[-1] == ']') {
        host++;
        host_size -= 2;
    }
    for (size_t i = 0; i < host_size; i++) {
        if (!isalnum((unsigned char)host[i]) && strchr("-%._:", host[i]) == NULL) {
            return false;
        }
    }
    const char *port = colon + 1;
    if (*port == '\0' || strspn(port, "0123456789") != strlen(port) || strlen(port) > 5 || atoi(port) > 65535) {
        return false;
    }
    char *copy = xstrndup(host, host_size);
    ret->host = config_keep(config, copy);
    ret->port = atoi(port);
    free(copy);
    return true;
}

/* Names must differ, and so must ports. */
static int add_listener(struct config_listener *list, int32_t *count, const struct config_listener *added,
                        bool is_advertised, const char *all, char **ret_message) {
    const char *what = is_advertised ? "advertised listener" : "listener";
    const char *key = is_advertised ? "advertised.listeners" : "listeners";
    for (int32_t i = 0; i < *count; i++) {
        if (list[i].name == added->name) {
            return refuse(ret_message, "requirement failed: Each %s must have a different name, %s: %s", what, key,
                          all);
        }
        /* What is advertised may be ports of a router in front of several brokers. */
        if (!is_advertised && list[i].port == added->port && added->port != 0) {
            return refuse(ret_message, "requirement failed: Each %s must have a different port, %s: %s", what, key,
                          all);
        }
    }
    if (*count == CONFIG_LISTENERS_MAX) {
        return refuse(ret_message, "requirement failed: %s holds more than %d entries", key, CONFIG_LISTENERS_MAX);
    }
    list[(*count)++] = *added;
    return 0;
}

static int parse_listeners(struct config *config, const char *text, bool is_advertised, struct config_listener *list,
                           int32_t *ret_count, char **ret_message) {
    *ret_count = 0;
    const char *at = text;
    const char *entry;
    int32_t size;
    while (setting_list_next(&at, &entry, &size)) {
        if (size == 0) {
            continue;
        }
        char *copy = xstrndup(entry, (size_t)size);
        struct config_listener listener = {0};
        int error = 0;
        if (!parse_listener(config, copy, &listener)) {
            error = refuse(ret_message,
                           "Error creating broker listeners from '%s': Unable to parse %s to a broker endpoint", text,
                           copy);
        } else {
            error = add_listener(list, ret_count, &listener, is_advertised, text, ret_message);
        }
        free(copy);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

/* The protocol a listener name stands for; NULL when the map does not hold it, "" when the map is malformed. */
static const char *protocol_of(struct config *config, const char *name) {
    const char *at = config->listener_security_protocol_map;
    const char *entry;
    int32_t size;
    while (setting_list_next(&at, &entry, &size)) {
        const char *colon = memchr(entry, ':', (size_t)size);
        if (size > 0 && colon == NULL) {
            return "";
        }
        if (size > 0 && keep_upper(config, entry, (size_t)(colon - entry)) == name) {
            return keep_upper(config, colon + 1, (size_t)(entry + size - colon - 1));
        }
    }
    return NULL;
}

static int check_protocol(struct config *config, const char *name, const char *all, char **ret_message) {
    static const char *const known[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};
    const char *protocol = protocol_of(config, name);
    if (protocol == NULL) {
        return refuse(ret_message,
                      "Error creating broker listeners from '%s': No security protocol defined for listener %s", all,
                      name);
    }
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcmp(protocol, known[i]) == 0) {
            return i == 0 ? 0
                          : refuse(ret_message,
                                   "Listener %s uses %s, which is not available in this version: only PLAINTEXT "
                                   "listeners can be opened",
                                   name, protocol);
        }
    }
    return refuse(ret_message,
                  "Invalid value %s for configuration listener.security.protocol.map: No security protocol %s for "
                  "listener %s",
                  config->listener_security_protocol_map, protocol, name);
}

static bool has_name(const struct config_listener *list, int32_t count, const char *name) {
    for (int32_t i = 0; i < count; i++) {
        if (list[i].name == name) {
            return true;
        }
    }
    return false;
}

static char *join_names(const struct config_listener *list, int32_t count) {
    char *joined = xstrdup("");
    for (int32_t i = 0; i < count; i++) {
        char *longer = xasprintf("%s%s%s", joined, i > 0 ? "," : "", list[i].name);
        free(joined);
        joined = longer;
    }
    return joined;
}

/* An empty host is advertised as this machine's full name, as Kafka does. */
static const char *own_name(struct config *config) {
    char name[256];
    if (gethostname(name, sizeof name) != 0) {
        return config_keep(config, "localhost");
    }
    name[sizeof name - 1] = '\0';
    struct addrinfo hints = {.ai_flags = AI_CANONNAME};
    struct addrinfo *found = NULL;
    const char *kept = NULL;
    if (getaddrinfo(name, NULL, &hints, &found) == 0) {
        if (found->ai_canonname != NULL) {
            kept = config_keep(config, found->ai_canonname);
        }
        freeaddrinfo(found);
    }
    return kept != NULL ? kept : config_keep(config, name);
}

static int derive_advertised(struct config *config, char **ret_message) {
    bool is_given = config->advertised_listeners != NULL && config->advertised_listeners[0] != '\0';
    if (is_given) {
        int error = parse_listeners(config, config->advertised_listeners, true, config->advertised_list,
                                    &config->advertised_count, ret_message);
        if (error != 0) {
            return error;
        }
    } else {
        memcpy(config->advertised_list, config->listener_list, sizeof config->advertised_list);
        config->advertised_count = config->listener_count;
        /* The control plane is for brokers only, but they too read where it is. */
    }
    for (int32_t i = 0; i < config->advertised_count; i++) {
        struct config_listener *listener = &config->advertised_list[i];
        if (strcmp(listener->host, "0.0.0.0") == 0) {
            return refuse(ret_message, "requirement failed: advertised.listeners cannot use the nonroutable "
                                       "meta-address 0.0.0.0. Use a routable IP address.");
        }
        if (!has_name(config->listener_list, config->listener_count, listener->name)) {
            char *found = join_names(config->advertised_list, config->advertised_count);
            char *valid = join_names(config->listener_list, config->listener_count);
            int error =
                refuse(ret_message,
                       "requirement failed: advertised.listeners listener names must be equal to or a subset of the "
                       "ones defined in listeners. Found %s. The valid options based on the current configuration are "
                       "%s",
                       found, valid);
            free(found);
            free(valid);
            return error;
        }
        if (listener->host[0] == '\0') {
            listener->host = own_name(config);
        }
    }
    return 0;
}

static int derive_inter_broker(struct config *config, char **ret_message) {
    const char *given = config->inter_broker_listener_name;
    const char *protocol = config->security_inter_broker_protocol;
    if (given != NULL && config_is_given(config, CONFIG_KEY_security_inter_broker_protocol)) {
        return refuse(ret_message, "Only one of inter.broker.listener.name and security.inter.broker.protocol should "
                                   "be set.");
    }
    const char *name = given != NULL ? given : protocol;
    config->inter_broker_listener = keep_upper(config, name, strlen(name));
    if (given != NULL && protocol_of(config, config->inter_broker_listener) == NULL) {
        return refuse(ret_message,
                      "Listener with name %s defined in inter.broker.listener.name not found in "
                      "listener.security.protocol.map.",
                      config->inter_broker_listener);
    }
    if (!has_name(config->advertised_list, config->advertised_count, config->inter_broker_listener)) {
        char *valid = join_names(config->advertised_list, config->advertised_count);
        int error = refuse(ret_message,
                           "requirement failed: inter.broker.listener.name must be a listener name defined in "
                           "advertised.listeners. The valid options based on currently configured listeners are %s",
                           valid);
        free(valid);
        return error;
    }
    config->control_plane_listener = NULL;
    if (config->control_plane_listener_name == NULL) {
        return 0;
    }
    name = keep_upper(config, config->control_plane_listener_name, strlen(config->control_plane_listener_name));
    if (!has_name(config->listener_list, config->listener_count, name)) {
        return refuse(ret_message,
                      "requirement failed: control.plane.listener.name must be a listener name defined in listeners. "
                      "%s is not",
                      name);
    }
    if (name == config->inter_broker_listener) {
        return refuse(ret_message,
                      "requirement failed: control.plane.listener.name, when defined, should have a different value "
                      "from the inter broker listener name. Currently they both have the value %s",
                      name);
    }
    config->control_plane_listener = name;
    return 0;
}

/* Settings that may be given for one listener alone and have an effect here. */
static const struct {
    enum config_key key;
    size_t offset;
} of_listener[] = {
    {CONFIG_KEY_max_connections, offsetof(struct config_listener, max_connections)},
    {CONFIG_KEY_max_connection_creation_rate, offsetof(struct config_listener, max_connection_creation_rate)},
};

static const char listener_prefix[] = "listener.name.";

bool config_is_of_listener(const char *name) {
    const char *dot = strncmp(name, listener_prefix, sizeof listener_prefix - 1) == 0
                          ? strchr(name + sizeof listener_prefix - 1, '.')
                          : NULL;
    for (size_t i = 0; dot != NULL && i < ARRAY_SIZE(of_listener); i++) {
        if (strcmp(dot + 1, config_definition(of_listener[i].key)->setting.key) == 0) {
            return true;
        }
    }
    return false;
}

/* What is given for this listener, by order of force; NULL when nothing is. */
static const char *text_of_listener(const struct config *config, const char *listener, const char *key) {
    char *name = xasprintf("%s%s.%s", listener_prefix, listener, key);
    const char *found = NULL;
    for (int source = 0; found == NULL && source < CONFIG_SOURCE_COUNT; source++) {
        for (int32_t i = 0; i < config->unknown_count[source]; i++) {
            if (strcasecmp(config->unknown[source][i], name) == 0) {
                found = config->unknown_value[source][i];
            }
        }
    }
    free(name);
    return found;
}

static int derive_limits(const struct config *config, struct config_listener *listener, char **ret_message) {
    for (size_t i = 0; i < ARRAY_SIZE(of_listener); i++) {
        const struct setting *setting = &config_definition(of_listener[i].key)->setting;
        const char *text = text_of_listener(config, listener->name, setting->key);
        int32_t *field = (int32_t *)(void *)((char *)listener + of_listener[i].offset);
        *field = INT32_MAX;
        if (text == NULL) {
            continue;
        }
        struct setting_value value;
        int error = setting_parse(setting, text, &value, ret_message);
        if (error != 0) {
            return error;
        }
        *field = (int32_t)value.integer;
        setting_value_deinit(&value);
    }
    return 0;
}

int config_derive_listeners(struct config *config, char **ret_message) {
    int error =
        parse_listeners(config, config->listeners, false, config->listener_list, &config->listener_count, ret_message);
    for (int32_t i = 0; error == 0 && i < config->listener_count; i++) {
        error = check_protocol(config, config->listener_list[i].name, config->listeners, ret_message);
        if (error == 0) {
            error = derive_limits(config, &config->listener_list[i], ret_message);
        }
    }
    if (error == 0 && config->listener_count == 0) {
        error = refuse(ret_message, "requirement failed: listeners names no address to listen on");
    }
    if (error == 0) {
        error = derive_advertised(config, ret_message);
    }
    return error != 0 ? error : derive_inter_broker(config, ret_message);
}
