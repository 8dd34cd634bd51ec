-- Shapes wrk's request and prints its findings as one line of JSON.
-- Arguments after `--`: headers=browser, vary=path, vary=all, body=BYTES, close=1, pipeline=N.
-- No `response` function, and a `request` function only where requests differ: wrk then sends ready
-- bytes and counts by itself, and costs as little as it can. Requests that differ are made before
-- the start, so that what is left is a look into a table.

local browser = {
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  ["Accept-Language"] = "en-GB,en;q=0.7,de;q=0.3",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Referer"] = "https://www.example.com/catalogue/shoes?page=3",
  ["Connection"] = "keep-alive",
  ["Cookie"] = "session=5d1f2c8e9b7a4460a1f3; theme=dark; consent=yes; cart=83-12-7",
  ["Upgrade-Insecure-Requests"] = "1",
  ["Sec-Fetch-Dest"] = "document",
  ["Sec-Fetch-Mode"] = "navigate",
  ["Sec-Fetch-Site"] = "same-origin",
  ["Sec-Fetch-User"] = "?1",
  ["Priority"] = "u=0, i",
} -- thirteen, and Host, which wrk adds

-- More than any server here remembers (bare-serve: 4096 lines), so that none answers from memory.
local VARIED = 8192

-- Requests as clients of a site send them: each asks for another item. With `all` each is another
-- client as well, who has a session of its own and comes through a proxy.
local function varied(all)
  local requests = {}
  for i = 1, VARIED do
    if all then
      local id = string.format("%08x%04x%08x", (i * 40503) % 4294967296, i, i * 30011)
      wrk.headers["Cookie"] = "session=" .. id .. "; theme=dark; consent=yes; cart=83-12-7"
      wrk.headers["X-Forwarded-For"] = string.format("198.18.%d.%d", i / 256, i % 256)
    end
    requests[i] = wrk.format(nil, string.format("/items/%d?q=%d", i, i))
  end
  local last = 0
  return function()
    last = last % VARIED + 1
    return requests[last]
  end
end

function init(args)
  local pipeline = 1
  local vary
  for _, argument in ipairs(args) do
    local key, value = argument:match("^(%w+)=(.*)$")
    if key == "headers" then
      for name, content in pairs(browser) do wrk.headers[name] = content end
    elseif key == "vary" then
      vary = value
    elseif key == "body" then
      wrk.method = "POST"
      wrk.headers["Content-Type"] = "application/octet-stream"
      wrk.body = string.rep("x", tonumber(value))
    elseif key == "close" then
      wrk.headers["Connection"] = "close"
    elseif key == "pipeline" then
      pipeline = tonumber(value)
    end
  end
  local one = wrk.format
  wrk.format = function(...) return string.rep(one(...), pipeline) end
  if vary then request = varied(vary == "all") end
end

function done(summary, latency, requests)
  local points = {}
  for _, p in ipairs({1, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.9, 99.99}) do
    points[#points + 1] = string.format('"%g":%d', p, latency:percentile(p))
  end
  local errors = summary.errors
  io.write(string.format(
    'BENCH {"requests":%d,"bytes":%d,"microseconds":%d,"errors":{"connect":%d,"read":%d,'
      .. '"write":%d,"status":%d,"timeout":%d},"latency":{%s},"slowest":%d}\n',
    summary.requests, summary.bytes, summary.duration, errors.connect, errors.read,
    errors.write, errors.status, errors.timeout, table.concat(points, ","), latency.max))
end
