//! Writes small ONNX files byte by byte, sound and unsound ones; it never uses the reader under test.

/// One protobuf message under construction.
#[derive(Clone, Default)]
pub struct Msg(pub Vec<u8>);

impl Msg {
    fn raw_varint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.0.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.0.push(v as u8);
    }

    pub fn int(mut self, field: u64, v: u64) -> Self {
        self.raw_varint(field << 3);
        self.raw_varint(v);
        self
    }

    pub fn bytes(mut self, field: u64, b: &[u8]) -> Self {
        self.raw_varint(field << 3 | 2);
        self.raw_varint(b.len() as u64);
        self.0.extend_from_slice(b);
        self
    }

    pub fn text(self, field: u64, s: &str) -> Self {
        self.bytes(field, s.as_bytes())
    }

    pub fn msg(self, field: u64, m: &Self) -> Self {
        self.bytes(field, &m.0)
    }
}

/// A dimension: free, or fixed.
pub type Dim = Option<u64>;

/// An input or output: name, element type (1 is f32), shape.
pub fn value_info(name: &str, element: u64, dims: &[Dim]) -> Msg {
    let dim = |d: &Dim| d.map_or_else(|| Msg::default().text(2, "batch"), |v| Msg::default().int(1, v));
    let shape = dims.iter().fold(Msg::default(), |m, d| m.msg(1, &dim(d)));
    let tensor = Msg::default().int(1, element).msg(2, &shape);
    Msg::default().text(1, name).msg(2, &Msg::default().msg(1, &tensor))
}

/// An f32 initializer.
pub fn tensor(name: &str, dims: &[u64], values: &[f32]) -> Msg {
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    dims.iter().fold(Msg::default(), |m, d| m.int(1, *d)).int(2, 1).text(8, name).bytes(9, &data)
}

/// An i64 initializer.
pub fn tensor_i64(name: &str, values: &[i64]) -> Msg {
    let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Msg::default().int(1, values.len() as u64).int(2, 7).text(8, name).bytes(9, &data)
}

pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Msg {
    let m = inputs.iter().fold(Msg::default(), |m, i| m.text(1, i));
    outputs.iter().fold(m, |m, o| m.text(2, o)).text(4, op)
}

/// A file in parts, so that a test can spoil one.
#[derive(Clone)]
pub struct File {
    pub ir: u64,
    pub opsets: Vec<(&'static str, u64)>,
    pub nodes: Vec<Msg>,
    pub initializers: Vec<Msg>,
    pub inputs: Vec<Msg>,
    pub outputs: Vec<Msg>,
    /// Fields of the graph and of the model that a test adds.
    pub graph_extra: Msg,
    pub model_extra: Msg,
}

impl File {
    /// `p_up = Sigmoid(features x W)`, W = `weights`.
    pub fn linear(weights: [f32; 10]) -> Self {
        Self {
            ir: 8,
            opsets: vec![("", 17)],
            nodes: vec![node("MatMul", &["features", "w"], &["s"]), node("Sigmoid", &["s"], &["p_up"])],
            initializers: vec![tensor("w", &[10, 1], &weights)],
            inputs: vec![value_info("features", 1, &[None, Some(10)])],
            outputs: vec![value_info("p_up", 1, &[None, Some(1)])],
            graph_extra: Msg::default(),
            model_extra: Msg::default(),
        }
    }

    pub fn graph(&self) -> Msg {
        let g = self.nodes.iter().fold(Msg::default(), |g, n| g.msg(1, n)).text(2, "g");
        let g = self.initializers.iter().fold(g, |g, t| g.msg(5, t));
        let g = self.inputs.iter().fold(g, |g, i| g.msg(11, i));
        let mut g = self.outputs.iter().fold(g, |g, o| g.msg(12, o));
        g.0.extend_from_slice(&self.graph_extra.0);
        g
    }

    pub fn bytes(&self) -> Vec<u8> {
        let m = Msg::default().int(1, self.ir).text(2, "test").msg(7, &self.graph());
        let mut m = self
            .opsets
            .iter()
            .fold(m, |m, (domain, version)| m.msg(8, &Msg::default().text(1, domain).int(2, *version)));
        m.0.extend_from_slice(&self.model_extra.0);
        m.0
    }
}
