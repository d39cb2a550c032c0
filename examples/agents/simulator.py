#!/usr/bin/env python3
"""A simulated agent: asks a running Ephor for work, plays it, reports. Nothing but Python's standard library.

    ephor serve                              # in one terminal
    python3 examples/agents/simulator.py     # in another

It executes prospecting.md beside this file, writes every event of that execution to simulator.log, and ends with 0 if each task was
done once and in the order of the plan. It works in a namespace of its own, so that it plays nobody's real tasks. With --join it works on
an execution that somebody else started there. EPHOR_SERVER names another server, EPHOR_TOKEN who asks.
"""

import argparse
import json
import os
import pathlib
import sys
import time
import urllib.error
import urllib.request

SERVER = os.environ.get("EPHOR_SERVER", "http://127.0.0.1:4000")
LARRY = """search_google_maps manage_csv analyze_website web_scrape send_email make_phone_call schedule_calendar_event
    conduct_interview document_findings draft_document create_wireframes build_quote work""".split()
ENDED = ("COMPLETED", "FAILED", "CANCELLED")


def call(method, path, body=None):
    """Asks the server. None where it has nothing to say (204); a no raises HTTPError."""
    request = urllib.request.Request(SERVER + path, method=method, data=body and json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if "EPHOR_TOKEN" in os.environ:
        request.add_header("Authorization", "Bearer " + os.environ["EPHOR_TOKEN"])
    with urllib.request.urlopen(request, timeout=90) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def play(agent, work, seconds):
    """Pretends to do a task: a sign of life half way, then the result."""
    task, events = work["next_task"], f"/api/executions/{work['execution_id']}/events"
    print(f"{task['task_id']} {task['action']}: {task['title']}", flush=True)
    said = {"agent_id": agent, "task_id": task["task_id"], "attempt": task["attempt"]}
    try:
        for progress in (0, 0.5):
            answer = call("POST", events, {**said, "event_type": "task_progress", "progress": progress})
            if answer.get("force_pause") or answer.get("force_cancel"):
                return call("POST", events, {**said, "event_type": "task_cancelled"})
            time.sleep(seconds / 2)
        done = {"event_type": "task_complete", "status": "success", "output_data": {"played": task["title"]}}
        call("POST", events, {**said, **done})
    except urllib.error.HTTPError as no:
        if no.code != 409:  # 409: it was given to somebody else meanwhile, and this word no longer counts
            raise
        print(f"{task['task_id']} is no longer ours: {no.read().decode()}", flush=True)


def history(execution):
    """Every event of an execution, as it happened."""
    events, before = [], ""
    while page := call("GET", f"/api/executions/{execution}/events?limit=500{before}"):
        events += page
        before = f"&before={page[-1]['version']}"
    return events[::-1]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--agent", default="simulator_py", help="what it calls itself")
    options.add_argument("--capabilities", default=",".join(LARRY), help="what it can do")
    options.add_argument("--plan", default=pathlib.Path(__file__).with_name("prospecting.md"), type=pathlib.Path)
    options.add_argument("--join", metavar="EXECUTION", help="work on this one instead of starting one")
    options.add_argument("--namespace", default="simulator", help="the only one it works for")
    options.add_argument("--seconds", default=0.1, type=float, help="how long each task takes")
    options.add_argument("--log", default="simulator.log", help="where the events go")
    said = options.parse_args()

    call("POST", "/api/agents", {
        "agent_id": said.agent, "name": said.agent, "role": "simulator", "capabilities": said.capabilities.split(","),
        "namespace": said.namespace})
    execution = said.join
    if execution is None:
        plan = {"plan_id": said.plan.stem, "agent_id": said.agent, "plan": said.plan.read_text(), "namespace": said.namespace}
        execution = call("POST", "/api/executions", plan)["execution_id"]
    elif (home := call("GET", f"/api/v1/tasks/{execution}")["namespace"]) != said.namespace:
        sys.exit(f"{execution} belongs to the namespace {home}; to work there, say --namespace {home}")
    print(f"{said.agent} works on {execution}", flush=True)

    while True:
        work = call("GET", f"/api/agents/{said.agent}/work?wait=1s")
        if work:
            play(said.agent, work, said.seconds)
        elif (now := call("GET", f"/api/executions/{execution}"))["status"] in ENDED:
            break

    events = history(execution)
    with open(said.log, "w") as log:
        log.writelines(json.dumps(event) + "\n" for event in events)
    planned = [task["task_id"] for task in now["tasks"] if "action" in task]
    done = [event["task_id"] for event in events if event["event_type"] == "task_complete"]
    print(f"{execution} is {now['status']}: {len(done)} of {len(planned)} tasks done, {len(events)} events in {said.log}")
    return 0 if now["status"] == "COMPLETED" and done == planned else 1


if __name__ == "__main__":
    sys.exit(main())
