/* SIGINT and SIGTERM as a descriptor, so that a tool can close cleanly and then die of the signal, as Kafka's do. */
#ifndef OTTLA_TOOLS_SIGNALS_H
#define OTTLA_TOOLS_SIGNALS_H

/* Blocks the two signals; the descriptor becomes readable when one has come. */
int signals_open(void);
/* The signal that has come, taken from the descriptor; 0 for none. */
int signals_take(int fd);
/* Ends the process by the signal: exit status 130 or 143 to a shell. */
_Noreturn void signals_die(int signal_number);

#endif
