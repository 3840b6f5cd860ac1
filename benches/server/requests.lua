-- wrk sends the requests in the file $REQUESTS in order, repeatedly.
-- Each line is a request: method, path, token or -, body or -, separated by tabs.

local prepared, last = {}, 0

function init()
  for line in io.lines(os.getenv("REQUESTS")) do
    local method, path, token, body = line:match("([^\t]+)\t([^\t]+)\t([^\t]+)\t(.+)")
    local headers = {}
    if token ~= "-" then headers["Authorization"] = "Bearer " .. token end
    if body ~= "-" then headers["Content-Type"] = "application/json" end
    prepared[#prepared + 1] = wrk.format(method, path, headers, body ~= "-" and body or nil)
  end
end

function request()
  last = last % #prepared + 1
  return prepared[last]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"micros":%d,"error_statuses":%d,"failed":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)
  ))
end
