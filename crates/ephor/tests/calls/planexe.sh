# Check agent status
curl http://localhost:8000/api/agents/agent_larry_001

# Manually trigger work polling
curl http://localhost:8000/api/agents/agent_larry_001/work

# Report event (test)
curl -X POST http://localhost:8000/api/executions/exec_test_001/events \
  -H "Content-Type: application/json" \
  -d '{"agent_id":"agent_larry_001","event_type":"task_complete","task_id":"task_1_1","status":"success"}'
