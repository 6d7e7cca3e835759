module tokenstore.example/asker

go 1.19

require tokenstore.example/tokenstore v0.1.0

replace tokenstore.example/tokenstore => ../../../capi/go
