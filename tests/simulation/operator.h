/* Who reads a broker's last line and does what it asks for. */
#ifndef OTTLA_SIM_OPERATOR_H
#define OTTLA_SIM_OPERATOR_H

struct machine;

/* A partition in two directories, of two topics of one name (a directory was away while the topic was deleted and made
 * anew): the one that is not registered is set aside. Which it is, only ZooKeeper knows; a broker, as Kafka's, does not
 * start. */
void operator_read(struct machine *machine, const char *message);

#endif
