# An application of Thin: it reads each request's body, answers 200, and writes a line into the log.
LOG = File.open(ENV.fetch('REQUEST_LOG'), 'a')
LOG.sync = true

run(lambda do |env|
  said = "#{env['REQUEST_METHOD']} #{env['REQUEST_URI']}".gsub(/[^ -~]/n, '?')
  LOG.write("#{said}\n")
  env['rack.input'].read
  body = "ok #{said}\n"
  [200, { 'Content-Type' => 'text/plain', 'Content-Length' => body.bytesize.to_s }, [body]]
end)
