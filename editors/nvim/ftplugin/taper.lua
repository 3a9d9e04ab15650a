vim.bo.commentstring = '# %s'
vim.bo.comments = ':#'
vim.bo.expandtab = true
vim.bo.shiftwidth = 4
vim.bo.softtabstop = 4

-- Layers stand out as calls do; most colour schemes have no colour for types.
vim.api.nvim_set_hl(0, '@lsp.type.class.taper', { link = 'Function', default = true })
