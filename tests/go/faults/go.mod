module tokenstore.example/faults

go 1.19
