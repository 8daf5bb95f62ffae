-- wrk asks with each line of a file in turn: bodies of requests, one a line.
local bodies, next_one = {}, 0
for line in io.lines(os.getenv("BODIES")) do
  bodies[#bodies + 1] = line
end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"

function request()
  next_one = next_one % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[next_one])
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %f %f %d\n", summary.requests / summary.duration * 1e6,
    latency:percentile(99) / 1000,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
