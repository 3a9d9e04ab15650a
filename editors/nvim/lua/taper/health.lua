-- `:checkhealth taper`
local M = {}

function M.check()
  local health = vim.health
  health.start('taper')
  if vim.fn.has('nvim-0.11') == 0 then
    health.error('Neovim 0.11 or newer is needed', 'Update Neovim.')
    return
  end
  local server = vim.lsp.config.taper.cmd[1]
  if vim.fn.executable(server) == 0 then
    health.error(
      ('the server `%s` is not there'):format(server),
      { 'Install it: `cargo xtask install` in a clone of Taper.', 'Or name it: `vim.g.taper_server = "/path/to/taper"`.' }
    )
    return
  end
  local version = vim.system({ server, '--version' }, { text = true }):wait()
  health.ok(('%s: %s'):format(vim.fn.exepath(server), vim.trim(version.stdout)))
  local clients = vim.lsp.get_clients({ name = 'taper' })
  if #clients == 0 then
    health.info('no server runs; one starts with the first Taper file')
  end
  for _, client in ipairs(clients) do
    local buffers = vim.tbl_count(client.attached_buffers)
    health.ok(('a server runs in %s, for %d buffers'):format(client.root_dir, buffers))
  end
  local devices = vim.system({ server, 'bench', '--devices' }, { text = true }):wait()
  for line in vim.gsplit(vim.trim(devices.stdout), '\n') do
    health.info(line)
  end
end

return M
