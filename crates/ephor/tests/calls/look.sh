# Check status
curl http://localhost:4000/api/v1/tasks

# View Swagger docs
curl http://localhost:4000/api-docs
