"""Ansible's default output, short enough to be read: what was changed, what failed, and the lines a play has to say."""
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback.default import CallbackModule as Default

DOCUMENTATION = """
    name: ottla
    type: stdout
    short_description: the default output, with messages as plain lines
    description: >-
        A debug task prints its message line by line; a failure its message before anything else; a task that only
        includes others nothing.
    extends_documentation_fragment:
        - default_callback
        - result_format_callback
"""


class CallbackModule(Default):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "ottla"

    def __init__(self):
        super().__init__()
        self._last_words = []

    def v2_playbook_on_include(self, included_file):
        pass

    def v2_runner_on_ok(self, result):
        if isinstance(result._task, TaskInclude):
            return
        message = result._result.get("msg")
        if result._task.action in ("debug", "ansible.builtin.debug") and message is not None:
            for line in message if isinstance(message, list) else [message]:
                if result._task.get_name().endswith("at the end"):
                    self._last_words.append(str(line))
                else:
                    self._display.display(str(line))
            return
        super().v2_runner_on_ok(result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        message = result._result.get("msg")
        if result._task.action in ("fail", "ansible.builtin.fail", "assert", "ansible.builtin.assert") and message:
            self._display.display("fatal: [%s]: %s" % (result._host.get_name(), message), color="red")
            return
        super().v2_runner_on_failed(result, ignore_errors)

    def v2_playbook_on_stats(self, stats):
        super().v2_playbook_on_stats(stats)
        for line in self._last_words:
            self._display.display(line)
